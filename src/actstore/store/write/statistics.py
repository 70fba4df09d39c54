"""Statistics of each site over the whole store: merged from the tasks, in task order, in float64."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from actstore.access.objects import ObjectStore
from actstore.access.read_ahead import map_ahead
from actstore.errors import CorruptObjectError
from actstore.quantize.fidelity import fidelity
from actstore.quantize.moments import Moments
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import first_problem, read_document
from actstore.store.format.layout import ArraySpec, statistics_arrays
from actstore.store.format.vectors import Document, Vector64
from actstore.store.write.commit import Commit, load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["OutlierChannel", "SiteStatistics", "StatisticsMerger", "merge_statistics"]

_OUTLIER_RATIO: Final = 8.0
_MOST_OUTLIERS: Final = 8
_SIGNED: Final = frozenset({"statistics/mean"})


class OutlierChannel(BaseModel):
    """A channel much larger than the others of its site."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channel: int = Field(ge=0, le=1 << 31)
    ratio: float
    """Its root mean square divided by that of the median channel."""


class SiteStatistics(Document):
    """Statistics of the rows of one site before encoding."""

    model_config = ConfigDict(allow_inf_nan=False)

    count: int = Field(ge=0, le=1 << 62)
    """Rows."""
    mean_norm: float = Field(ge=0)
    """Mean of the L2 norm ||x||."""
    mean_square_norm: float = Field(ge=0)
    """Mean of ||x||^2."""
    max_abs: float = Field(ge=0)
    """Largest magnitude of any value."""
    saturated: int = Field(ge=0, le=1 << 62)
    """Values clamped to the range of the encoding."""
    mean_D: Vector64
    """Mean of each channel, float64 [D]."""
    variance_D: Vector64
    """Population variance of each channel, float64 [D]."""
    sqnr_median_db: float | None
    """Signal to quantisation noise of the median channel; None if the encoding is lossless."""
    sqnr_worst_db: float | None
    """Signal to quantisation noise of the worst channel."""
    sqnr_worst_channel: int | None = Field(ge=0, le=1 << 31)
    outlier_channels: tuple[OutlierChannel, ...]
    """Channels with at least eight times the root mean square of the median channel, largest first."""

    @field_validator("variance_D")
    @classmethod
    def _not_negative(cls, variance_D: NDArray[np.float64]) -> NDArray[np.float64]:
        if (variance_D < 0).any():
            raise ValueError("a variance is negative")
        return variance_D


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
        self._totals = {site.name: _Total(site.width) for site in frozen.sites}

    def load(self, commit: Commit) -> dict[str, NDArray[Any]]:
        """Read the statistics of a committed task; several threads may do so at once.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            If the statistics are lost, or differ from the commit.
        """
        arrays = {spec.path.removeprefix("statistics/"): _load(self._objects, spec, commit) for spec in self._specs}
        if (arrays["count"] != commit.rows).any():
            raise CorruptObjectError(
                f"{self._objects.uri}: the statistics of task {commit.task} are not of its {commit.rows} rows; find "
                "all damage with 'actstore verify'"
            )
        return arrays

    def add(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Merge the result of `load` for the next task."""
        with np.errstate(over="ignore", invalid="ignore"):  # sums that are not finite are found at the end
            for index, site in enumerate(self._frozen.sites):
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


def _load(objects: ObjectStore, spec: ArraySpec, commit: Commit) -> NDArray[Any]:
    path = spec.object_path(commit.task)
    wanted = spec.row_bytes
    data = read_document(objects, path, most_bytes=wanted)
    if sha256_hex(data) != commit.objects[path].sha256:
        raise CorruptObjectError(
            f"{objects.uri}: {path} (task {commit.task}) does not have the sha256 that its commit says; "
            "find all damage with 'actstore verify'"
        )
    if len(data) != wanted:
        raise CorruptObjectError(f"{objects.uri}: {path} has {len(data):,} bytes, its layout {wanted:,}")
    values = np.frombuffer(data, dtype=spec.dtype).reshape(spec.shape[1:])
    if not np.isfinite(values).all() or (spec.path not in _SIGNED and (values < 0).any()):
        raise CorruptObjectError(
            f"{objects.uri}: {path} holds what is no {spec.path.removeprefix('statistics/')}: NaN, Inf or less than 0"
        )
    return values


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
    if median <= 0:
        return ()
    ratio_D = rms_D / median
    largest = np.argsort(-ratio_D, kind="stable")[:_MOST_OUTLIERS]
    return tuple(
        OutlierChannel(channel=int(channel), ratio=float(ratio_D[channel]))
        for channel in largest
        if ratio_D[channel] >= _OUTLIER_RATIO
    )
