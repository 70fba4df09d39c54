"""How often latents fire: the share of rows on which each is active."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch

from trainers.report.reported import ReportedRun

__all__ = ["Density", "bin_edges", "density_of"]

_BINS_PER_DECADE: Final = 5


class Density(NamedTuple):
    """Latents by the share of rows on which they are active."""

    counts: tuple[int, ...]
    """Latents in each bin."""
    median: float | None
    """Of the latents that are active at all; None if none is."""
    silent: int
    """Latents that are active on none of the rows."""
    dead: int
    """Latents that fired on none of the last rows of training."""


def bin_edges(runs: Sequence[ReportedRun]) -> list[float]:
    """Return the edges of bins, equal on a logarithmic axis, from one row of the most rows of a run to every row.

    Examples
    --------
    >>> bin_edges([])
    [0.1, 0.158..., 0.251..., 0.398..., 0.630..., 1.0]
    """
    most = max((run.result.evaluated_rows for run in runs if run.result is not None), default=10)
    decades = max(1, math.ceil(math.log10(most)))
    steps = decades * _BINS_PER_DECADE
    return [10 ** (-decades * (steps - step) / steps) for step in range(steps + 1)]


def density_of(run: ReportedRun, edges: Sequence[float]) -> Density | None:
    """Return the density of a finished run; None if its latents were not counted."""
    if run.latents is None or run.result is None:
        return None
    share_F = run.latents.fired_F.clamp(0, run.result.evaluated_rows).double() / run.result.evaluated_rows
    active_A = share_F[share_F > 0]
    inner = torch.tensor(edges[1:-1], dtype=torch.float64)
    counts = torch.bincount(torch.bucketize(active_A, inner, right=True), minlength=len(edges) - 1)
    return Density(
        counts=tuple(counts.tolist()),
        median=float(active_A.median()) if len(active_A) else None,
        silent=len(share_F) - len(active_A),
        dead=int((run.latents.idle_rows_F >= run.result.dead_after_rows).sum()),
    )
