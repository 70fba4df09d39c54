"""Options of a run that do not change its result: device, folder, memory, access."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LiveMode", "LoggerName", "RunOptions"]

LiveMode = Literal["online", "compute", "store"]
"""Rows that the model computes: all; the rows that the store lacks; or the rows that it lacks, and commits them."""

LoggerName = Literal["tensorboard", "wandb"]


class RunOptions(BaseModel):
    """Options of a run, as the user gave them. A workflow resolves them once.

    A resumed run takes those that are not given from the run that it continues.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    out: Path | None = None
    """Folder of the run; None for ``runs/<store>-<dictionary>-<sites>-<time>``, or the folder of the resumed run."""
    resume: Path | None = None
    """Folder of a run, or one of its checkpoints: go on from there."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; `auto` takes CUDA if it is available."""
    buffer_bytes: int = Field(default=256 << 20, ge=1)
    """Memory of the shuffle buffer. It decides the order of the rows, so within an epoch a run needs the same."""
    accumulate: int = Field(default=1, ge=1)
    """Passes for one update, each over an equal part of the rows that a process has of a batch: less memory, and the
    same update up to rounding."""
    checkpoint_every: int = Field(default=1000, ge=1)
    """Steps between checkpoints; the last step always has one."""
    keep: int = Field(default=3, ge=1)
    """Checkpoints to keep, the last ones."""
    eval_every: int | None = Field(default=None, ge=1)
    """Steps between evaluations on held-out rows; None for a twentieth of the run, at least 100 steps."""
    evaluation_rows: int = Field(default=100_000, ge=1)
    """Most rows to evaluate on at the end."""
    log: tuple[LoggerName, ...] = ()
    """Loggers that receive the metrics beside `metrics.jsonl`: keys of `loggers.table.LOGGERS`."""
    allow_incomplete: bool = False
    """Read the available rows of a store whose extraction has not finished; no effect if all rows are computed."""
    uri: str | None = None
    """Where the store of a manifest file is, if not where the file says."""
    storage_options: Mapping[str, Any] | None = Field(default=None, repr=False)
    """Passed to fsspec; never written to the folder of the run."""
    cache: Path | None = None
    """Folder on a local disk that keeps bytes read from a remote store."""
    cache_bytes: int | None = None
    """Most bytes that it may hold."""
    live: LiveMode | None = None
    """Rows that the model computes; None for none."""
    recipe_options: Mapping[str, Any] | None = Field(default=None, repr=False)
    """Values that take precedence over those of a recipe, by dotted key; used if all rows are computed."""
    model: str | None = None
    """Folder or Hugging Face name that has the model now; None for the place that the store or recipe names."""
    model_device: str = "auto"
    """Where the model runs, as `device`."""
    most_passes: float = 1.0
    """How often an epoch may compute each task that is not read, on average."""
