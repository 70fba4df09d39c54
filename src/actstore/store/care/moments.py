"""Compare the statistics of tasks with the rows that they are said to describe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.models import Site
from actstore.contracts.planes import Planes
from actstore.contracts.windows import RowWindow
from actstore.quantize.moments import Moments
from actstore.store.format.layout import scales_path, statistics_arrays, values_path
from actstore.store.read.manifest import Manifest
from actstore.store.read.reader import ArrayReader
from actstore.store.write.commit import load_commit
from actstore.store.write.statistics import StatisticsMerger

__all__ = ["WrongStatistic", "compare_statistics", "spread_tasks"]

_BLOCK_ROWS: Final = 4096
_ROUNDING: Final = 1e-3


class WrongStatistic(NamedTuple):
    """A statistic that the rows of its task do not have."""

    object: str
    task: int
    problem: str


def spread_tasks(done: list[int], most: int) -> list[int]:
    """Return at most so many tasks, evenly spread, the first and the last among them.

    Examples
    --------
    >>> spread_tasks([0, 1, 2, 3, 4, 5, 6], 3)
    [0, 3, 6]
    """
    return [done[index] for index in np.unique(np.linspace(0, len(done) - 1, min(most, len(done))).round().astype(int))]


def compare_statistics(objects: ObjectStore, manifest: Manifest, task: int) -> Iterator[WrongStatistic]:
    """Read the rows of a committed task and yield the statistics that they do not have.

    The statistics are those of the rows before they were encoded, and `noise` is the sum of the squared errors of the
    encoding: it bounds how far they may be from those of the stored rows.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        If rows or statistics are lost or differ from their commit.
    """
    frozen = manifest.frozen
    said = StatisticsMerger(objects, frozen).load(load_commit(objects, task))
    paths = {spec.path: spec.object_path(task) for spec in statistics_arrays(frozen.sites, frozen.tasks)}
    reader = ArrayReader(objects, manifest)
    for index, site in enumerate(frozen.sites):
        if site not in frozen.sites_here:
            continue
        found, here = _measure(reader, manifest, task, index, site), slice(site.width)
        noise_D = said["noise"][index, here]
        error_D = np.sqrt(noise_D) * (1 + _ROUNDING) + _ROUNDING * found.max_abs_D
        rows = found.moments.count
        off_mean_D = np.abs(found.moments.mean_D - said["mean"][index, here])
        off_spread_D = np.abs(np.sqrt(found.moments.m2_D) - np.sqrt(said["m2"][index, here]))
        off_largest_D = np.abs(found.max_abs_D - said["max_abs"][index, here])
        off_norms = abs(found.norm_sum - float(said["norm_sum"][index]))
        # Each error is that of a projection of the errors of all rows, or of a part of them, and so not larger.
        agrees = {
            "mean": (off_mean_D <= error_D / np.sqrt(rows)).all(),
            "m2": (off_spread_D <= error_D).all(),
            "max_abs": (off_largest_D <= error_D).all(),
            "norm_sum": off_norms <= np.sqrt(rows * float(noise_D.sum())) + _ROUNDING * found.norm_sum,
            "saturated": int(said["saturated"][index]) <= found.clamped,
        }
        for name, agree in agrees.items():
            if not agree:
                problem = f"is not the {name} of the rows of this task at {site.name}"
                yield WrongStatistic(paths[f"statistics/{name}"], task, problem)


class _Measured(NamedTuple):
    moments: Moments
    norm_sum: float
    max_abs_D: NDArray[np.float64]
    clamped: int
    """Values at the end of the range of the encoding."""


def _measure(reader: ArrayReader, manifest: Manifest, task: int, index: int, site: Site) -> _Measured:
    """Measure the rows of a task at one site, as they are stored."""
    frozen, quantizer = manifest.frozen, manifest.frozen.quantizer
    calibration = frozen.site_calibration(site.name)
    total = _Measured(Moments(0, np.zeros(site.width), np.zeros(site.width)), 0.0, np.zeros(site.width), 0)
    rows = frozen.rows_of(task)
    for start in range(0, rows, _BLOCK_ROWS):
        window = RowWindow(task, start, min(start + _BLOCK_ROWS, rows))
        values = reader.rows(values_path(site.name), window)
        scale = None
        if quantizer.scales is not None:
            scale_NSG = reader.rows(scales_path(quantizer), window).reshape(len(values), len(frozen.sites), -1)
            scale = scale_NSG[:, index, : quantizer.scale_groups(site.width)]
        rows_ND = quantizer.decode(Planes(values, scale), calibration)
        magnitude_ND = np.abs(rows_ND)
        total = _Measured(
            total.moments.merge(Moments.of(rows_ND)),
            total.norm_sum + float(np.linalg.norm(rows_ND.astype(np.float64), axis=1).sum()),
            np.maximum(total.max_abs_D, magnitude_ND.max(axis=0)),
            total.clamped + int((magnitude_ND >= quantizer.largest).sum()),
        )
    return total
