"""Options of a run that do not change its result: device, folder, memory, access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["LiveMode", "RunOptions"]

LiveMode = Literal["online", "compute", "store"]
"""Rows that the model computes: all; the rows that the store lacks; or the rows that it lacks, and commits them."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run, as the user gave them. A workflow resolves them once."""

    out: Path | None = None
    """Folder of the run; None for ``runs/<dictionary>-<sites>-seed<seed>``."""
    resume: bool = False
    """Continue from the newest checkpoint in `out`."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; `auto` takes CUDA if it is available."""
    buffer_bytes: int = 256 << 20
    """Memory of the shuffle buffer. A cursor is valid only for the same size: resume with the same."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; the last step always has one."""
    evaluation_rows: int = 100_000
    """Most rows to evaluate on."""
    allow_incomplete: bool = False
    """Read the available rows of a store whose extraction has not finished; no effect if all rows are computed."""
    storage_options: Mapping[str, Any] | None = None
    """Passed to fsspec."""
    cache: Path | None = None
    """Folder on a local disk that keeps bytes read from a remote store."""
    cache_bytes: int | None = None
    """Most bytes that it may hold."""
    live: LiveMode | None = None
    """Rows that the model computes; None for none."""
    recipe_options: Mapping[str, Any] | None = None
    """Values that take precedence over those of a recipe, by dotted key; used if all rows are computed."""
    model_device: str = "auto"
    """Where the model runs, as `device`."""
    most_passes: float = 1.0
    """How often an epoch may compute each task that is not read, on average."""
