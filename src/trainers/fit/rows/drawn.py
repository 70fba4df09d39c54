"""What a run takes from rows that are drawn from its whole split, because the statistics of a store do not have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from actstore import errors
from trainers.fit.normalise import Float64s, InputFacts, SiteMoments, describe_inputs
from trainers.fit.plan import TrainPlan
from trainers.fit.rows.geometric_median import geometric_median
from trainers.fit.rows.transform import prepare_rows, transform_of

__all__ = ["MOST_DRAWN_BYTES", "MOST_DRAWN_ROWS", "DrawnMoments", "needs_drawn_rows", "run_inputs"]

MOST_DRAWN_ROWS: Final = 32_768
"""The mean of so many rows is known to 1/180 of their spread, and their 0.999 quantile from 33 rows above it."""
MOST_DRAWN_BYTES: Final = 256 << 20
"""Of rows with many features fewer are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMoments:
    """Statistics of drawn rows of a site, as a manifest has them of all rows."""

    mean_norm: float
    mean_square_norm: float
    mean_D: Float64s
    variance_D: Float64s

    @classmethod
    def of(cls, values_ND: NDArray[np.floating]) -> Self:
        """Compute them in float64."""
        values = values_ND.astype(np.float64)
        square_N = (values**2).sum(axis=1)
        return cls(float(np.sqrt(square_N).mean()), float(square_N.mean()), values.mean(axis=0), values.var(axis=0))


def needs_drawn_rows(plan: TrainPlan) -> bool:
    """Return whether the statistics of a store are not enough for a run."""
    return (
        transform_of(plan.normalisation) != "none"
        or plan.max_norm_quantile is not None
        or plan.b_dec_start == "geometric-median"
    )


def run_inputs(
    plan: TrainPlan, statistics: Mapping[str, SiteMoments], drawn_NSD: NDArray[np.float32] | None
) -> InputFacts:
    """Return scale, centre and spread of the rows as the dictionary sees them, and which are too long for it.

    Without a need for drawn rows all comes from the statistics of the store. A transform of each row changes mean and
    variance, so they are those of the drawn rows. If long rows are dropped, everything is that of the drawn rows that
    would be kept.

    Parameters
    ----------
    statistics
        Of all rows, from the store.
    drawn_NSD
        Rows drawn from the whole split; None if the run needs none.

    Raises
    ------
    TrainingError
        As `describe_inputs`, and if drawn rows are needed and there are fewer than two.
    """
    if not needs_drawn_rows(plan):
        return _described(plan, statistics)
    if drawn_NSD is None or len(drawn_NSD) < 2:
        raise errors.TrainingError("this run needs rows drawn from the whole split before it begins, and got none")
    drawn, most_norm_S = len(drawn_NSD), None
    if plan.max_norm_quantile is not None:
        norm_NS = np.linalg.norm(drawn_NSD.astype(np.float64), axis=2)
        most_norm_S = np.quantile(norm_NS, plan.max_norm_quantile, axis=0)
        drawn_NSD = drawn_NSD[(norm_NS <= most_norm_S).all(axis=1)]
        if len(drawn_NSD) < 2:
            raise errors.TrainingError(
                f"of {drawn:,} drawn rows {len(drawn_NSD)} are within the {plan.max_norm_quantile:g} quantile of the "
                "norms at every site; raise --max-norm-quantile"
            )
        statistics = _moments(plan.sites, drawn_NSD)
    transform = transform_of(plan.normalisation)
    if transform != "none":
        ones_S = torch.ones(len(plan.sites), dtype=torch.float64)
        raw_NSD = torch.from_numpy(drawn_NSD).double()
        drawn_NSD = prepare_rows(raw_NSD, scale_S=ones_S, transform=transform).inputs_BSD.numpy()
        statistics = _moments(plan.sites, drawn_NSD)
    inputs = _described(plan, statistics)
    median_SD = None
    if plan.b_dec_start == "geometric-median":
        median_SD = np.stack([geometric_median(drawn_NSD[:, s]) for s in range(len(plan.sites))])
        median_SD *= inputs.scale_S[:, None]
    return replace(inputs, median_SD=median_SD, most_norm_S=most_norm_S, drawn_rows=drawn)


def _described(plan: TrainPlan, statistics: Mapping[str, SiteMoments]) -> InputFacts:
    return describe_inputs(
        plan.sites, statistics, normalisation=plan.normalisation, read=plan.reads, written=plan.writes
    )


def _moments(sites: Sequence[str], values_NSD: NDArray[np.floating]) -> Mapping[str, SiteMoments]:
    return {site: DrawnMoments.of(values_NSD[:, s]) for s, site in enumerate(sites)}
