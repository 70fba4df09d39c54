"""Input scale of each site, from the statistics of its rows: those in the manifest cost no estimation pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore import errors
from trainers.fit.config import Normalisation

__all__ = ["InputFacts", "SiteMoments", "describe_inputs", "site_scale"]

Float64s = NDArray[np.float64]
_LEAST_SCALE: Final = float(np.finfo(np.float32).tiny)
_MOST_SCALE: Final = float(np.finfo(np.float32).max)


class SiteMoments(Protocol):
    """Statistics of the rows of a site, as in a manifest, all in float64."""

    @property
    def mean_norm(self) -> float:
        """Mean of ||x||."""
        ...

    @property
    def mean_square_norm(self) -> float:
        """Mean of ||x||^2."""
        ...

    @property
    def mean_D(self) -> Float64s:
        """Mean of each feature."""
        ...

    @property
    def variance_D(self) -> Float64s:
        """Variance of each feature."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class InputFacts:
    """Scale, centre and spread of the inputs of a run, as the dictionary sees them."""

    scale_S: Float64s
    """Factor of each site."""
    mean_SD: Float64s
    """Mean of the scaled rows."""
    variance: float
    """Mean squared distance of the scaled rows from their mean, summed over the sites that are written."""
    read_variance: float | None = None
    """The same for those that are read; None if these are the same."""
    median_SD: Float64s | None = None
    """Geometric median of the scaled rows of each site; None if nothing starts there."""
    most_norm_S: Float64s | None = None
    """Norm of a raw row at each site beyond which it is not trained on; None for no limit."""
    drawn_rows: int = 0
    """Rows that were drawn to estimate what the statistics of the store do not have; 0 for none."""

    @property
    def start_SD(self) -> Float64s:
        """Where `b_dec` starts: the mean of the rows, or their geometric median."""
        return self.mean_SD if self.median_SD is None else self.median_SD


def describe_inputs(
    sites: Sequence[str],
    statistics: Mapping[str, SiteMoments],
    *,
    normalisation: Normalisation,
    read: Sequence[str] | None = None,
    written: Sequence[str] | None = None,
) -> InputFacts:
    """Return scale, mean and variance of the scaled rows of the given sites.

    Parameters
    ----------
    statistics
        Of the rows of each site; if the normalisation is a transform of each row, of the transformed rows.
    read, written
        Those that a dictionary reads and writes; None for all.

    Raises
    ------
    TrainingError
        If the statistics of a site are missing, zero or not finite.
    """
    missing = [site for site in sites if site not in statistics]
    if missing:
        raise errors.TrainingError(f"no statistics for {', '.join(missing)}; the manifest has {', '.join(statistics)}")
    scale_S = np.array([site_scale(site, statistics[site], normalisation=normalisation) for site in sites])
    mean_SD = scale_S[:, None] * np.stack([statistics[site].mean_D for site in sites])
    variance_S = np.array([statistics[site].variance_D.sum() for site in sites])
    variance_S = scale_S**2 * variance_S

    def variance_of(names: Sequence[str] | None) -> float:
        return float((variance_S if names is None else variance_S[[*map(list(sites).index, names)]]).sum())

    variance, read_variance = variance_of(written), variance_of(read)
    least = min(variance, read_variance)
    if not (np.isfinite(mean_SD).all() and math.isfinite(variance + read_variance) and least > 0):
        raise errors.TrainingError(
            f"rows of {', '.join(sites)} have variance {least} in the statistics of the store; "
            "a dictionary needs rows that differ"
        )
    return InputFacts(scale_S, mean_SD, variance, None if read is None and written is None else read_variance)


def site_scale(site: str, moments: SiteMoments, *, normalisation: Normalisation) -> float:
    """Return the factor by which rows of a site are multiplied.

    `unit` is ``1 / sqrt(mean ||x||^2)`` (dictionary_learning), `sqrt_d` is ``sqrt(D) / mean ||x||`` (SAELens). It is 1
    for `none` and for transforms of each row.
    """
    if normalisation not in {"unit", "sqrt_d"}:
        return 1.0
    size = math.sqrt(moments.mean_square_norm) if normalisation == "unit" else moments.mean_norm
    if not (math.isfinite(size) and size > 0):
        raise errors.TrainingError(
            f"site {site}: the mean norm of its rows is {size} in the statistics of the store, so no scale "
            "can bring it to 1; check the site with 'actstore inspect'"
        )
    scale = 1.0 / size if normalisation == "unit" else math.sqrt(len(moments.mean_D)) / size
    if not _LEAST_SCALE <= scale <= _MOST_SCALE:
        raise errors.TrainingError(
            f"site {site}: the mean norm of its rows is {size:.4g} in the statistics of the store, so their scale "
            f"would be {scale:.4g}, beyond float32; check the store with 'actstore verify'"
        )
    return scale
