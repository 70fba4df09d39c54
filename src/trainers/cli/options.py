"""The options of the commands, each defined once, in groups."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from actstore import parse_recipe_fields
from trainers.cli.choices import (
    DictionaryChoice,
    GroupDrawChoice,
    L0PenaltyChoice,
    MissingChoice,
    NormalisationChoice,
    OrderChoice,
    PrecisionChoice,
)
from trainers.cli.run_options import AccessOptions, ModelOptions, SetOptions, SettingsOptions, split_settings

__all__ = [
    "AccessOptions",
    "DictionaryChoice",
    "Given",
    "GroupDrawChoice",
    "L0PenaltyChoice",
    "MissingChoice",
    "ModelOptions",
    "NormalisationChoice",
    "OnlineRecipeOptions",
    "OrderChoice",
    "OutputOptions",
    "PlaceOptions",
    "PrecisionChoice",
    "ReportOptions",
    "SetOptions",
    "SettingsOptions",
    "TrainingOptions",
    "given_in",
]

Given = AbstractSet[str]
"""Names of parameters of a command."""


def given_in(context: typer.Context) -> Given:
    """Return the names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


@dataclass(frozen=True, slots=True)
class TrainingOptions(SettingsOptions):
    """What to train: fields of `TrainConfig`.

    Here `site` and `target` stand for `sites` and `targets`, and `dictionary` may be none.
    """

    dictionary: Annotated[DictionaryChoice, typer.Option(help="What to train; `none` only streams.")] = (
        DictionaryChoice.TOPK_SAE
    )
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site or glob; several with commas, or by repeating the option.", show_default="all"),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Site or glob that a transcoder writes; for clt-* as many as --site, in the same order.",
            show_default="the sites read (clt-*)",
        ),
    ] = None
    skip: Annotated[
        bool | None,
        typer.Option("--skip/--no-skip", help="Add an affine skip connection (transcoder-*).", show_default="no skip"),
    ] = None
    latents: Annotated[
        int | None,
        typer.Option(help="Dictionary size F; of each layer (clt-*).", show_default="expansion x features"),
    ] = None
    expansion: Annotated[
        int, typer.Option(help="F divided by the features of a site.", show_default="8 latents a feature")
    ] = 8
    k: Annotated[
        int | None,
        typer.Option(
            help="Latents kept for each row (TopK), or on average (BatchTopK, Matryoshka); of each layer (clt-*).",
            show_default="32 latents a row",
            rich_help_panel="Sparsity",
        ),
    ] = None
    threshold_decay: Annotated[
        float | None,
        typer.Option(
            help="BatchTopK: weight that each older batch keeps in the mean of cutoffs, which is the threshold for "
            "evaluation.",
            show_default="0.99, a mean over about 100 batches",
            rich_help_panel="Sparsity",
        ),
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE,SHARE,...",
            help="Matryoshka: share of the latents in each group. Each prefix of groups must reconstruct.",
            show_default="1/16, 1/16, 1/8, 1/4, 1/2",
            rich_help_panel="Sparsity",
        ),
    ] = None
    group_draw: Annotated[
        GroupDrawChoice | None,
        typer.Option(
            help="Matryoshka: prefixes of the groups, or random ones in each step.",
            show_default="fixed",
            rich_help_panel="Sparsity",
        ),
    ] = None
    l0_target: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: active latents of a row that the penalty aims at, or counts by; of each layer (clt-*).",
            show_default="32 latents a row",
            rich_help_panel="Sparsity",
        ),
    ] = None
    l0_penalty: Annotated[
        L0PenaltyChoice | None,
        typer.Option(
            help="JumpReLU: `target` is (L0 / l0-target - 1)^2, `linear` L0 / l0-target; `tanh` counts weak latents "
            "less.",
            show_default="target",
            rich_help_panel="Sparsity",
        ),
    ] = None
    bandwidth: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: window around a threshold in which pre-activations move it, in units of the spread of the "
            "rows.",
            show_default="as measured",
            rich_help_panel="Sparsity",
        ),
    ] = None
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Weight of the penalty beside the unexplained share (all but TopK), for rows of any scale.",
            show_default="0.06; 0.03 for p-annealing-sae",
            rich_help_panel="Sparsity",
        ),
    ] = None
    p_end: Annotated[
        float | None,
        typer.Option(
            help="Power of the penalty at the end (p-annealing-sae); it begins at 1.",
            show_default="0.2",
            rich_help_panel="Sparsity",
        ),
    ] = None
    p_anneal_from: Annotated[
        float | None,
        typer.Option(
            help="Share of the rows after which the power falls.",
            show_default="a tenth of the rows",
            rich_help_panel="Sparsity",
        ),
    ] = None
    shared_latents: Annotated[
        float | None,
        typer.Option(
            help="Latents with the same decoder at all sites (crosscoders): a number, or a share below 1.",
            show_default="0 latents",
            rich_help_panel="Sparsity",
        ),
    ] = None
    exclusive_latents: Annotated[
        float | None,
        typer.Option(
            help="Latents that only one site has, for each site (crosscoders): a number, or a share below 1.",
            show_default="0 latents",
            rich_help_panel="Sparsity",
        ),
    ] = None
    shared_sparsity: Annotated[
        float | None,
        typer.Option(
            help="Factor of the penalty of shared latents (crosscoder-l1, -l2).",
            show_default="a tenth of the penalty",
            rich_help_panel="Sparsity",
        ),
    ] = None
    sparsity_warmup_share: Annotated[
        float,
        typer.Option(
            help="Share of the run in which the penalty rises, so that latents do not die before they learn.",
            show_default="0.1 of the rows",
            rich_help_panel="Sparsity",
        ),
    ] = 0.1
    steps: Annotated[
        int | None,
        typer.Option(
            help="Batches; with --resume, more than before train longer, and fewer end earlier.",
            show_default="once through the split, in batches",
            rich_help_panel="Optimisation",
        ),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of the decoder; the encoder has less.",
            show_default="5e-3 sqrt(1024 / F)",
            rich_help_panel="Optimisation",
        ),
    ] = None
    encoder_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of the encoder beside that of the decoder.",
            show_default="0.25 up to 1,000 steps, then less, down to 0.0625",
            rich_help_panel="Optimisation",
        ),
    ] = None
    warmup_share: Annotated[
        float,
        typer.Option(
            help="Share of the run in which the learning rate rises, at most 1,000 steps.",
            show_default="0.05 of the rows",
            rich_help_panel="Optimisation",
        ),
    ] = 0.05
    decay_share: Annotated[
        float,
        typer.Option(
            help="Share of the run, at its end, in which the learning rate falls to 0.",
            show_default="0.2 of the rows",
            rich_help_panel="Optimisation",
        ),
    ] = 0.2
    gradient_clip: Annotated[
        float,
        typer.Option(
            help="Largest norm of the gradient; a larger one is scaled down.",
            show_default="1 for all weights together",
            rich_help_panel="Optimisation",
        ),
    ] = 1.0
    precision: Annotated[
        PrecisionChoice,
        typer.Option(
            help="Number format of products; weights and losses stay in float32.", rich_help_panel="Optimisation"
        ),
    ] = PrecisionChoice.FLOAT32
    batch_rows: Annotated[
        int, typer.Option(help="Rows of a batch.", show_default="2,048 rows", rich_help_panel="Rows")
    ] = 2048
    seed: Annotated[int, typer.Option(help="Seeds initial weights and order of rows.", rich_help_panel="Rows")] = 0
    order: Annotated[
        OrderChoice,
        typer.Option(
            help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).", rich_help_panel="Rows"
        ),
    ] = OrderChoice.WINDOWS
    split: Annotated[str, typer.Option(help="Split to train on.", rich_help_panel="Rows")] = "train"
    normalisation: Annotated[
        NormalisationChoice,
        typer.Option(help="Scale of each site: mean square norm 1, or mean norm sqrt(D).", rich_help_panel="Rows"),
    ] = NormalisationChoice.UNIT
    auxk_weight: Annotated[
        float,
        typer.Option(
            help="Weight of the AuxK loss, in which dead latents learn what the others leave over (TopK); 0 for none.",
            show_default="0.03125 of a share",
            rich_help_panel="Dead latents",
        ),
    ] = 1 / 32
    auxk_latents: Annotated[
        int | None,
        typer.Option(
            help="Most dead latents that AuxK uses for a row.",
            show_default="half the features of a site",
            rich_help_panel="Dead latents",
        ),
    ] = None
    dead_after_rows: Annotated[
        int | None,
        typer.Option(
            help="A latent is dead if it fired on none of so many last rows.",
            show_default="320 F / k rows, 10 batches to 10 M",
            rich_help_panel="Dead latents",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Device and folder of a training run: fields of `RunOptions`."""

    PANEL: ClassVar = "Run"

    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="in runs/, named by store, dictionary, sites and time"),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the run in this folder, or from one of its checkpoints. All options are those of the run; "
            "give only --steps, --out and others that do not change the result.",
            show_default="none: a new run",
        ),
    ] = None
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.", show_default="1,000 steps")
    ] = 1000
    keep: Annotated[
        int, typer.Option(min=1, help="Checkpoints to keep, the last ones.", show_default="3 checkpoints")
    ] = 3
    eval_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps between evaluations on held-out rows.",
            show_default="a twentieth of the steps, at least 100",
        ),
    ] = None
    buffer_bytes: Annotated[
        int, typer.Option(min=1, help="Memory of the shuffle buffer, in bytes.", show_default="256 MiB")
    ] = 256 << 20
    device: Annotated[str, typer.Option(help="Where training runs: auto, cpu, cuda or cuda:N.")] = "auto"
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Write metrics for tensorboard or wandb, too; both with a comma, or by repeating the option. `none` "
            "stops that for a resumed run. Project and name for wandb come from WANDB_PROJECT and WANDB_NAME.",
            show_default="only metrics.jsonl",
            rich_help_panel="Logging",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What is shown."""

    PANEL: ClassVar = "Output"

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a report is shown."""

    PANEL: ClassVar = "Output"

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False


@dataclass(frozen=True, slots=True, repr=False)
class OnlineRecipeOptions:
    """Fields of the recipe, if rows are computed from one."""

    PANEL: ClassVar = "Recipe"

    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="FASTA or Parquet in place of the recipe's sequences; may be repeated.", show_default="of the recipe"
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any recipe field, in TOML: `--set rows.fraction=0.1`, or with `train.` any setting of training: "
            "`--set train.lr=1e-3`; may be repeated.",
            show_default="of the recipe",
        ),
    ] = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of the recipe; those of training are left out."""
        return parse_recipe_fields({"corpus.sequences": self.sequences}, self.of_recipe)

    @property
    def of_training(self) -> list[str]:
        """The settings of training."""
        return split_settings(self.settings)[0]

    @property
    def of_recipe(self) -> list[str]:
        """The settings of the recipe."""
        return split_settings(self.settings)[1]
