"""Plan the rows of a run and their source, before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from actstore import StreamRequest, errors
from trainers.fit.config import TrainConfig
from trainers.fit.read_and_written import sites_of_batches
from trainers.workflows.device import choose_device
from trainers.workflows.options import LiveMode, RunOptions
from trainers.workflows.ranks import ALONE, Ranks

__all__ = ["LivePlan", "RowsPlan", "plan_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """How the model computes rows."""

    mode: LiveMode
    model: str | None
    """Where the model is, if not where the store or recipe says."""
    device: str
    """Where the model runs: `cpu`, `cuda`, `cuda:1`."""
    recipe_options: Mapping[str, Any] | None = field(repr=False)
    most_passes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsPlan:
    """Everything that opening the rows of a run needs to know."""

    source: str | os.PathLike[str]
    """Path or URL of a store, an exported manifest file, or a recipe."""
    request: StreamRequest
    """The rows to train on, and their delivery."""
    live: LivePlan | None
    """How rows are computed; None if all are read."""
    allow_incomplete: bool
    uri: str | None
    """Where the store of a manifest file is, if not where the file says."""
    storage_options: Mapping[str, Any] | None = field(repr=False)
    cache: Path | None
    cache_bytes: int | None


def plan_rows(
    source: str | os.PathLike[str],
    config: TrainConfig,
    options: RunOptions,
    *,
    device: torch.device | None,
    ranks: Ranks = ALONE,
) -> RowsPlan:
    """Plan which rows to open, and how.

    Parameters
    ----------
    source
        Path or URL of a store, an exported manifest file, or a recipe.
    config
        What to train.
    options
        Device, folder, memory and access.
    device
        Where training runs; None if nothing is trained.
    ranks
        Which of how many processes this is.

    Raises
    ------
    UsageError
        If options contradict each other, a device does not exist, or the batch cannot be divided among the processes.
    """
    if ranks.several and options.live is not None:
        raise errors.UsageError(
            f"WORLD_SIZE={ranks.size}: rows are computed by one process only, since each of several would compute "
            "nearly all of them; extract the store first, or start the trainer without torchrun"
        )
    # On a GPU the buffer is on the GPU too, unless the order has no buffer.
    on_device = device is not None and device.type == "cuda" and config.order == "windows"
    return RowsPlan(
        source=source,
        request=StreamRequest(
            sites=sites_of_batches(config),
            batch_rows=ranks.rows_of_rank(config.batch_rows, parts=options.accumulate),
            seat=ranks.seat,
            seed=config.row_seed,
            split=config.split,
            buffer_bytes=options.buffer_bytes,
            order=config.order,
            device=str(device) if on_device else None,
        ),
        live=None if options.live is None else _plan_live(options.live, options),
        allow_incomplete=options.allow_incomplete,
        uri=options.uri,
        storage_options=options.storage_options,
        cache=options.cache,
        cache_bytes=options.cache_bytes,
    )


def _plan_live(mode: LiveMode, options: RunOptions) -> LivePlan:
    if options.allow_incomplete and mode != "online":
        raise errors.UsageError("missing rows are either computed or left out, not both; drop allow_incomplete")
    return LivePlan(
        mode=mode,
        model=options.model,
        device=str(choose_device(options.model_device)),
        recipe_options=options.recipe_options,
        most_passes=options.most_passes,
    )
