"""The options of the commands, each defined once, in groups."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from actstore import parse_recipe_fields
from trainers.cli.choices import BiasStartChoice, NormalisationChoice
from trainers.cli.run_options import AccessOptions, ModelOptions

__all__ = [
    "AccessOptions",
    "BiasStartChoice",
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
    "TrainingOptions",
    "given_in",
]

Given = AbstractSet[str]
"""Names of parameters of a command."""


def given_in(context: typer.Context) -> Given:
    """Return the names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


class DictionaryChoice(StrEnum):
    """Choices of --dictionary."""

    TOPK_SAE = "topk-sae"
    BATCH_TOPK_SAE = "batch-topk-sae"
    JUMPRELU_SAE = "jumprelu-sae"
    MATRYOSHKA_SAE = "matryoshka-sae"
    RELU_SAE = "relu-sae"
    CROSSCODER_TOPK = "crosscoder-topk"
    CROSSCODER_BATCH_TOPK = "crosscoder-batch-topk"
    CROSSCODER_JUMPRELU = "crosscoder-jumprelu"
    CROSSCODER_MATRYOSHKA = "crosscoder-matryoshka"
    CROSSCODER_L1 = "crosscoder-l1"
    CROSSCODER_L2 = "crosscoder-l2"
    TRANSCODER_TOPK = "transcoder-topk"
    TRANSCODER_BATCH_TOPK = "transcoder-batch-topk"
    TRANSCODER_JUMPRELU = "transcoder-jumprelu"
    CLT_TOPK = "clt-topk"
    CLT_BATCH_TOPK = "clt-batch-topk"
    CLT_JUMPRELU = "clt-jumprelu"
    NONE = "none"


class GroupDrawChoice(StrEnum):
    """Choices of --group-draw."""

    FIXED = "fixed"
    RANDOM = "random"


class L0PenaltyChoice(StrEnum):
    """Choices of --l0-penalty."""

    TARGET = "target"
    LINEAR = "linear"
    TANH = "tanh"


class PrecisionChoice(StrEnum):
    """Choices of --precision."""

    FLOAT32 = "float32"
    BF16 = "bf16"


class OrderChoice(StrEnum):
    """Choices of --order."""

    WINDOWS = "windows"
    UNIFORM = "uniform"


class MissingChoice(StrEnum):
    """Choices of --on-missing: how to treat rows that the store does not have yet."""

    ERROR = "error"
    COMPUTE = "compute"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What to train: fields of `TrainConfig`.

    Here `site` and `target` stand for `sites` and `targets`, and `dictionary` may be none.
    """

    PANEL: ClassVar = "Training"

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
        ),
    ] = None
    threshold_decay: Annotated[
        float | None,
        typer.Option(
            help="BatchTopK: weight that each older batch keeps in the mean of cutoffs, which is the threshold for "
            "evaluation.",
            show_default="0.99, a mean over about 100 batches",
        ),
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE,SHARE,...",
            help="Matryoshka: share of the latents in each group. Each prefix of groups must reconstruct.",
            show_default="1/32, 1/16, 1/8, 1/4, 17/32",
        ),
    ] = None
    group_draw: Annotated[
        GroupDrawChoice | None,
        typer.Option(help="Matryoshka: prefixes of the groups, or random ones in each step.", show_default="fixed"),
    ] = None
    l0_target: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: active latents of a row that the penalty aims at, or counts by; of each layer (clt-*).",
            show_default="32 latents a row",
        ),
    ] = None
    l0_penalty: Annotated[
        L0PenaltyChoice | None,
        typer.Option(
            help="JumpReLU: `target` is (L0 / l0-target - 1)^2, `linear` L0 / l0-target; `tanh` counts weak latents "
            "less.",
            show_default="target",
        ),
    ] = None
    bandwidth: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: window around a threshold in which pre-activations move it, in units of the spread of the "
            "rows.",
            show_default="as measured",
        ),
    ] = None
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Weight of the penalty beside the unexplained share (relu-sae, l1, l2), for rows of any scale.",
            show_default="0.06 for each of them",
        ),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of the decoder; the encoder has less.", show_default="5e-3 sqrt(1024 / F)"
        ),
    ] = None
    normalisation: Annotated[
        NormalisationChoice,
        typer.Option(
            help="Scale of each site: mean square norm 1 (unit), mean norm sqrt(D) (sqrt_d), or none. Or each row by "
            "itself: less its mean, over its deviation (row-zscore, as ESMC), or to norm sqrt(D) (row-norm)."
        ),
    ] = NormalisationChoice.UNIT
    max_norm_quantile: Annotated[
        float | None,
        typer.Option(
            help="Leave rows out of training that are longer than this quantile of the norms at a site, such as 0.999.",
            show_default="train on all",
        ),
    ] = None
    b_dec_start: Annotated[
        BiasStartChoice, typer.Option(help="Where the decoder bias starts; the mean is as good in our measurements.")
    ] = BiasStartChoice.MEAN
    decorrelation_weight: Annotated[
        float, typer.Option(help="Weight of the squared cosines between decoder atoms, which are 1 if random.")
    ] = 0.0
    smoothness_weight: Annotated[
        float,
        typer.Option(help="Weight of the difference between codes of neighbouring residues; needs large batches."),
    ] = 0.0
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Parquet with labels of residues for the probe: sequence, position (from 0), a column for each label.",
            show_default="none",
        ),
    ] = None
    probe_weight: Annotated[
        float, typer.Option(help="Weight of the loss of a linear probe that reads --labels from codes.")
    ] = 0.0
    precision: Annotated[
        PrecisionChoice, typer.Option(help="Number format of products; weights and losses stay in float32.")
    ] = PrecisionChoice.FLOAT32
    steps: Annotated[
        int | None,
        typer.Option(
            help="Batches; with --resume, more than before train longer, and fewer end earlier.",
            show_default="once through the split, in batches",
        ),
    ] = None
    batch_rows: Annotated[int, typer.Option(help="Rows of a batch.", show_default="2,048 rows")] = 2048
    seed: Annotated[int, typer.Option(help="Seeds initial weights and order of rows.")] = 0
    order: Annotated[
        OrderChoice, typer.Option(help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).")
    ] = OrderChoice.WINDOWS
    split: Annotated[str, typer.Option(help="Split to train on.")] = "train"


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
            help="Set any recipe field, in TOML: `--set rows.fraction=0.1`; may be repeated.",
            show_default="of the recipe",
        ),
    ] = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of the recipe."""
        return parse_recipe_fields({"corpus.sequences": self.sequences}, self.settings)
