"""The options that both commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DictionaryChoice", "MissingChoice", "NormalisationChoice", "OrderChoice"]


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
    """In which order rows come."""

    WINDOWS = "windows"
    UNIFORM = "uniform"


class MissingChoice(StrEnum):
    """What to do about rows that the store does not have yet."""

    ERROR = "error"
    COMPUTE = "compute"
    STORE = "store"


Dictionary = Annotated[DictionaryChoice, typer.Option(help="What to train; `none` only streams.")]
Sites = Annotated[list[str] | None, typer.Option(help="Site or glob; repeat for several. [default: all]")]
Latents = Annotated[int | None, typer.Option(help="Dictionary size F. [default: expansion x features]")]
Expansion = Annotated[int, typer.Option(help="F over the features of a site.")]
K = Annotated[int | None, typer.Option(help="Latents kept for each row (TopK). [default: 32]")]
Sparsity = Annotated[float | None, typer.Option(help="Coefficient of the penalty (relu-sae, l1, l2).")]
Lr = Annotated[float | None, typer.Option(help="Peak learning rate. [default: 2e-3 sqrt(1024 / F)]")]
Normalisation = Annotated[
    NormalisationChoice, typer.Option(help="Scale of each site: mean square norm 1, or mean norm sqrt(D).")
]
Steps = Annotated[int | None, typer.Option(help="Batches. [default: once through the split]")]
BatchRows = Annotated[int, typer.Option(help="Rows of a batch.")]
Seed = Annotated[int, typer.Option(help="Seeds initial weights and order of rows.")]
Order = Annotated[
    OrderChoice, typer.Option(help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).")
]
Split = Annotated[str, typer.Option(help="Split to train on.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/DICTIONARY-SITES-seedN]")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the folder.")]
CheckpointEvery = Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")]
BufferBytes = Annotated[int, typer.Option(min=1, help="Memory of the shuffle buffer.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AllowIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Read a store that is still being extracted.")
]
StorageOption = Annotated[
    list[str] | None,
    typer.Option("--storage-option", metavar="KEY=VALUE", help="Passed to fsspec; may be repeated."),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Local folder that keeps what is read of a remote store, or computed. [default: memory]"),
]
CacheBytes = Annotated[
    int | None,
    typer.Option(min=1, help="How much is kept there; of what is computed, 4 GiB by default."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
ModelDevice = Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")]
MostPasses = Annotated[
    float,
    typer.Option(min=1, help="How often an epoch may compute the rows of a protein; more is refused at the start."),
]
OnlineMissing = Annotated[
    MissingChoice,
    typer.Option(help="Only `compute`, which is what this does about all rows; for the others use read-from-store."),
]
OnlineIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Of no effect: rows are computed, extracted or not.")
]
Sequences = Annotated[
    list[str] | None,
    typer.Option(help="FASTA or Parquet in place of what the recipe names or expects; may be repeated."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any field of the recipe, in TOML: `--set rows.fraction=0.1`; repeatable."
    ),
]
OnMissing = Annotated[
    MissingChoice,
    typer.Option(
        help="Rows not extracted yet: refuse; `compute` them and write nothing; or compute and `store` them, so that "
        "the first epoch fills the store."
    ),
]
