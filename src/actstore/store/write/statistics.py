"""Statistics of each site over the whole store: merged from the tasks, in task order, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actstore.access.objects import ObjectStore
from actstore.access.read_ahead import map_ahead
from actstore.contracts.recipe import MOST_INTEGER
from actstore.errors import CorruptObjectError
from actstore.quantize.fidelity import fidelity
from actstore.quantize.moments import Moments
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import first_problem, read_document
from actstore.store.format.layout import ArraySpec, statistics_arrays
from actstore.store.format.vectors import Document, Vector64
from actstore.store.write.commit import Commit, load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.statistic_bounds import (
    LARGEST,
    MOST_MEAN_NORM,
    MOST_MEAN_SQUARE,
    contradictions,
    statistic_problem,
)

__all__ = [
    "Contradiction",
    "OutlierChannel",
    "SiteStatistics",
    "StatisticsMerger",
    "contradicting",
    "merge_statistics",
]

_OUTLIER_RATIO: Final = 8.0
_MOST_OUTLIERS: Final = 8
_ROUNDING: Final = 1e-3
"""Relative error allowed where two numbers follow from the same sums."""
_MOST_DB: Final = 1e4


class OutlierChannel(BaseModel):
    """A channel much larger than the others of its site."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channel: int = Field(ge=0, le=1 << 31)
    ratio: float = Field(ge=0, le=MOST_MEAN_NORM)
    """Its root mean square divided by that of the median channel."""


class SiteStatistics(Document):
    """Statistics of the rows of one site before encoding."""

    model_config = ConfigDict(allow_inf_nan=False)

    count: int = Field(ge=0, le=MOST_INTEGER)
    """Rows."""
    mean_norm: float = Field(ge=0, le=MOST_MEAN_NORM)
    """Mean of the L2 norm ||x||."""
    mean_square_norm: float = Field(ge=0, le=MOST_MEAN_SQUARE)
    """Mean of ||x||^2."""
    max_abs: float = Field(ge=0, le=LARGEST)
    """Largest magnitude of any value."""
    saturated: int = Field(ge=0, le=MOST_INTEGER)
    """Values clamped to the range of the encoding."""
    mean_D: Vector64
    """Mean of each channel, float64 [D]."""
    variance_D: Vector64
    """Population variance of each channel, float64 [D]."""
    sqnr_median_db: float | None = Field(ge=-_MOST_DB, le=_MOST_DB)
    """Signal to quantisation noise of the median channel; None if the encoding is lossless."""
    sqnr_worst_db: float | None = Field(ge=-_MOST_DB, le=_MOST_DB)
    """Signal to quantisation noise of the worst channel."""
    sqnr_worst_channel: int | None = Field(ge=0, le=1 << 31)
    outlier_channels: tuple[OutlierChannel, ...]
    """Channels with at least eight times the root mean square of the median channel, largest first."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse numbers that no rows of float32 have; comparisons are written so that NaN is refused."""
        if not (np.abs(self.mean_D) <= LARGEST).all():
            raise ValueError(f"a mean exceeds {LARGEST:.4g}")
        if len(self.variance_D) != len(self.mean_D):
            raise ValueError(f"{len(self.mean_D)} means and {len(self.variance_D)} variances")
        if not (self.variance_D >= 0).all():
            raise ValueError("a variance is negative")
        if not (self.variance_D <= LARGEST**2).all():
            raise ValueError(f"a variance exceeds {LARGEST**2:.4g}")
        square_D = self.mean_D**2 + self.variance_D
        if not abs(self.mean_square_norm - square_D.sum()) <= _ROUNDING * square_D.sum():
            raise ValueError("mean_square_norm is not the sum of the squared means and the variances")
        if not self.mean_norm**2 <= self.mean_square_norm * (1 + _ROUNDING):
            raise ValueError("mean_norm exceeds the root of mean_square_norm")
        width = len(self.mean_D)
        if not self.mean_square_norm <= math.sqrt(width) * self.max_abs * self.mean_norm * (1 + _ROUNDING):
            raise ValueError("mean_square_norm exceeds what mean_norm and max_abs allow")
        if not self.max_abs**2 <= self.count * self.mean_square_norm * (1 + _ROUNDING):
            raise ValueError("max_abs exceeds what the mean square of so many rows allows")
        channels = [one.channel for one in self.outlier_channels] + [self.sqnr_worst_channel or 0]
        if not max(channels) < max(width, 1):
            raise ValueError(f"channel {max(channels)} of {width}")
        return self


class _Total:
    def __init__(self, width: int) -> None:
        self.moments = Moments(0, np.zeros(width), np.zeros(width))
        self.norm_sum = 0.0
        self.saturated = 0
        self.max_abs_D = np.zeros(width)
        self.noise_D = np.zeros(width)


class StatisticsMerger:
    """Merges the statistics of tasks.

    Tasks must be merged in the order of their numbers, so that the result does not depend on the runs that wrote them.

    Parameters
    ----------
    objects, frozen
        The store.
    """

    def __init__(self, objects: ObjectStore, frozen: FrozenRecipe) -> None:
        self._objects = objects
        self._frozen = frozen
        self._specs = statistics_arrays(frozen.sites, frozen.tasks)
        self._width = max(site.width for site in frozen.sites)
        self._totals = {site.name: _Total(site.width) for site in frozen.sites_here}

    def load(self, commit: Commit) -> dict[str, NDArray[Any]]:
        """Read the statistics of a committed task; several threads may do so at once.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            If the statistics are lost, differ from the commit, or are not those of any rows.
        """
        arrays = {spec.path.removeprefix("statistics/"): self._load(spec, commit) for spec in self._specs}
        for problem in contradicting(self._frozen, arrays):
            raise CorruptObjectError(
                f"{self._objects.uri}: {problem.array} of task {commit.task} {problem.reason}; find all damage with "
                "'actstore verify'"
            )
        return arrays

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Merge the result of `load` for the next task."""
        with np.errstate(over="ignore", invalid="ignore"):  # sums that are not finite are found at the end
            for index, site in enumerate(self._frozen.sites):
                if site.name not in self._totals:
                    continue
                total, here = self._totals[site.name], slice(site.width)
                moments = Moments(int(arrays["count"][index]), arrays["mean"][index, here], arrays["m2"][index, here])
                total.moments = total.moments.merge(moments)
                total.norm_sum += float(arrays["norm_sum"][index])
                total.saturated += int(arrays["saturated"][index])
                np.maximum(total.max_abs_D, arrays["max_abs"][index, here], out=total.max_abs_D)
                total.noise_D += arrays["noise"][index, here]

    def result(self) -> dict[str, SiteStatistics]:
        """Return the statistics of each site over all tasks that were merged.

        Raises
        ------
        CorruptObjectError
            If a sum is not finite.
        """
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return {name: _summary(total) for name, total in self._totals.items()}
        except ValidationError as error:
            raise CorruptObjectError(
                f"{self._objects.uri}: the statistics of its tasks have no finite sum ({first_problem(error)}); "
                "find all damage with 'actstore verify'"
            ) from error

    def _load(self, spec: ArraySpec, commit: Commit) -> NDArray[Any]:
        path = spec.object_path(commit.task)
        wanted = spec.row_bytes
        data = read_document(self._objects, path, most_bytes=wanted)
        if sha256_hex(data) != commit.objects[path].sha256:
            raise CorruptObjectError(
                f"{self._objects.uri}: {path} (task {commit.task}) does not have the sha256 that its commit says; "
                "find all damage with 'actstore verify'"
            )
        if len(data) != wanted:
            raise CorruptObjectError(f"{self._objects.uri}: {path} has {len(data):,} bytes, its layout {wanted:,}")
        values = np.frombuffer(data, dtype=spec.dtype).reshape(spec.shape[1:])
        name = spec.path.removeprefix("statistics/")
        if problem := statistic_problem(name, values, rows=commit.rows, width=self._width):
            raise CorruptObjectError(
                f"{self._objects.uri}: {path} holds what is no {name} of {commit.rows:,} rows: {problem}"
            )
        return values


class Contradiction(NamedTuple):
    """A statistic that is not that of the rows of the others."""

    array: str
    reason: str


def contradicting(frozen: FrozenRecipe, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Contradiction]:
    """Yield the statistics of a task that contradict each other.

    Parameters
    ----------
    frozen
        The recipe.
    arrays
        All statistics of a task by name.
    """
    for index, site in enumerate(frozen.sites):
        calibration = frozen.site_calibration(site.name)
        for name, reason in contradictions(
            arrays,
            index,
            width=site.width,
            quantizer=frozen.quantizer,
            channel_D=None if calibration is None else calibration.channel_D,
        ):
            yield Contradiction(f"statistics/{name}", f"contradicts the others at {site.name}: {reason}")


def merge_statistics(objects: ObjectStore, frozen: FrozenRecipe, tasks: Iterable[int]) -> dict[str, SiteStatistics]:
    """Merge the statistics of the given (committed) tasks, in the order of their numbers.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        If the statistics of a task are lost, or differ from its commit.
    """
    merger = StatisticsMerger(objects, frozen)
    for arrays in map_ahead(lambda task: merger.load(load_commit(objects, task)), sorted(tasks)):
        merger.add(arrays)
    return merger.result()


def _summary(total: _Total) -> SiteStatistics:
    moments = total.moments
    square_D = moments.mean_D**2 + moments.variance_D
    kept = fidelity(moments.m2_D, total.noise_D)
    return SiteStatistics(
        count=moments.count,
        mean_norm=total.norm_sum / max(moments.count, 1),
        mean_square_norm=float(square_D.sum()),
        max_abs=float(total.max_abs_D.max(initial=0.0)),
        saturated=total.saturated,
        mean_D=moments.mean_D,
        variance_D=moments.variance_D,
        sqnr_median_db=kept.median_db,
        sqnr_worst_db=kept.worst_db,
        sqnr_worst_channel=kept.worst_channel,
        outlier_channels=_outliers(np.sqrt(square_D)),
    )


def _outliers(rms_D: NDArray[np.float64]) -> tuple[OutlierChannel, ...]:
    median = float(np.median(rms_D))
    if not median > 0:
        return ()
    ratio_D = rms_D / median
    largest = np.argsort(-ratio_D, kind="stable")[:_MOST_OUTLIERS]
    return tuple(
        OutlierChannel(channel=int(channel), ratio=float(ratio_D[channel]))
        for channel in largest
        if ratio_D[channel] >= _OUTLIER_RATIO
    )
