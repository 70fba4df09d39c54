"""The options of the commands, each defined once, in groups."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from actstore import parse_recipe_fields

__all__ = [
    "AccessOptions",
    "DictionaryChoice",
    "Given",
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
    RELU_SAE = "relu-sae"
    CROSSCODER_TOPK = "crosscoder-topk"
    CROSSCODER_L1 = "crosscoder-l1"
    CROSSCODER_L2 = "crosscoder-l2"
    NONE = "none"


class NormalisationChoice(StrEnum):
    """Choices of --normalisation."""

    UNIT = "unit"
    SQRT_D = "sqrt_d"


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
    """What to train: fields of `TrainConfig`. Here `site` stands for `sites`, and `dictionary` may be none."""

    PANEL: ClassVar = "Training"

    dictionary: Annotated[DictionaryChoice, typer.Option(help="What to train; `none` only streams.")] = (
        DictionaryChoice.TOPK_SAE
    )
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site or glob; several with commas, or by repeating the option.", show_default="all"),
    ] = None
    latents: Annotated[int | None, typer.Option(help="Dictionary size F.", show_default="expansion x features")] = None
    expansion: Annotated[
        int, typer.Option(help="F divided by the features of a site.", show_default="8 latents a feature")
    ] = 8
    k: Annotated[
        int | None, typer.Option(help="Latents kept for each row (TopK).", show_default="32 latents a row")
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
        NormalisationChoice, typer.Option(help="Scale of each site: mean square norm 1, or mean norm sqrt(D).")
    ] = NormalisationChoice.UNIT
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
    accumulate: Annotated[
        int,
        typer.Option(
            min=1,
            help="Passes for one update, each over an equal part of the batch: less memory for the same update.",
            show_default="1 pass",
        ),
    ] = 1
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


@dataclass(frozen=True, slots=True, repr=False)
class AccessOptions:
    """Access to the store, and the cache of its bytes."""

    PANEL: ClassVar = "Access"

    storage_option: Annotated[
        list[str] | None,
        typer.Option(
            "--storage-option",
            metavar="KEY=VALUE",
            help="Passed to fsspec; may be repeated.",
            show_default="of the environment",
        ),
    ] = None
    store_uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            metavar="URI",
            help="Where the store of a manifest file is, if not where the file says.",
            show_default="as the file says",
        ),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(help="Local folder that keeps rows read from a remote store, or computed.", show_default="memory"),
    ] = None
    cache_bytes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most bytes to keep; needed with --cache.", show_default="4294967296 bytes of computed rows"
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How rows are computed: fields of `RunOptions`."""

    PANEL: ClassVar = "Model"

    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or Hugging Face name that has the model now.", show_default="as the store or recipe says"
        ),
    ] = None
    model_device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")] = "auto"
    most_passes: Annotated[
        float,
        typer.Option(
            min=1,
            help="How often an epoch may compute the rows of a protein; more is refused at the start.",
            show_default="1 pass",
        ),
    ] = 1.0


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
