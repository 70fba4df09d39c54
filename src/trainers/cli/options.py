"""The options of the commands, each defined once, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from actstore import parse_settings

__all__ = [
    "AccessOptions",
    "DictionaryChoice",
    "MissingChoice",
    "ModelOptions",
    "NormalisationChoice",
    "OnlineRecipeOptions",
    "OrderChoice",
    "OutputOptions",
    "PlaceOptions",
    "TrainingOptions",
]


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

    dictionary: Annotated[DictionaryChoice, typer.Option(help="What to train; `none` only streams.")] = (
        DictionaryChoice.TOPK_SAE
    )
    site: Annotated[list[str] | None, typer.Option(help="Site or glob; repeat for several. [default: all]")] = None
    latents: Annotated[int | None, typer.Option(help="Dictionary size F. [default: expansion x features]")] = None
    expansion: Annotated[int, typer.Option(help="F divided by the features of a site.")] = 8
    k: Annotated[int | None, typer.Option(help="Latents kept for each row (TopK). [default: 32]")] = None
    sparsity: Annotated[float | None, typer.Option(help="Coefficient of the penalty (relu-sae, l1, l2).")] = None
    lr: Annotated[float | None, typer.Option(help="Peak learning rate. [default: 2e-3 sqrt(1024 / F)]")] = None
    normalisation: Annotated[
        NormalisationChoice, typer.Option(help="Scale of each site: mean square norm 1, or mean norm sqrt(D).")
    ] = NormalisationChoice.UNIT
    steps: Annotated[int | None, typer.Option(help="Batches. [default: once through the split]")] = None
    batch_rows: Annotated[int, typer.Option(help="Rows of a batch.")] = 2048
    seed: Annotated[int, typer.Option(help="Seeds initial weights and order of rows.")] = 0
    order: Annotated[
        OrderChoice, typer.Option(help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).")
    ] = OrderChoice.WINDOWS
    split: Annotated[str, typer.Option(help="Split to train on.")] = "train"


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Device and folder of a training run: fields of `RunOptions`."""

    out: Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/DICTIONARY-SITES-seedN]")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint of the folder.")] = False
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 1000
    buffer_bytes: Annotated[int, typer.Option(min=1, help="Memory of the shuffle buffer.")] = 256 << 20
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto"


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Access to the store, and the cache of its bytes."""

    storage_option: Annotated[
        list[str] | None,
        typer.Option("--storage-option", metavar="KEY=VALUE", help="Passed to fsspec; may be repeated."),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(help="Local folder that keeps rows read from a remote store, or computed. [default: memory]"),
    ] = None
    cache_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Most bytes to keep there; for computed rows 4 GiB by default."),
    ] = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How rows are computed: fields of `RunOptions`."""

    model_device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")] = "auto"
    most_passes: Annotated[
        float,
        typer.Option(min=1, help="How often an epoch may compute the rows of a protein; more is refused at the start."),
    ] = 1.0


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What is shown."""

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


@dataclass(frozen=True, slots=True)
class OnlineRecipeOptions:
    """Fields of the recipe, if rows are computed from one."""

    sequences: Annotated[
        list[str] | None,
        typer.Option(help="FASTA or Parquet in place of the recipe's sequences; may be repeated."),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any recipe field, in TOML: `--set rows.fraction=0.1`; may be repeated.",
        ),
    ] = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of the recipe."""
        return {"corpus.sequences": self.sequences, **parse_settings(self.settings)}
