"""Which windows are read when: a pure function of the store's tasks, the seed and the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose
from actstore.contracts.windows import RowWindow

__all__ = ["EpochOrder", "Fill", "WindowSet", "cut_task_windows"]


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """All windows of a split."""

    task_W: NDArray[np.int64]
    start_W: NDArray[np.int64]
    stop_W: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return int((self.stop_W - self.start_W).sum())

    def __len__(self) -> int:
        return len(self.task_W)


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """The windows that make up one shuffle buffer, and the order in which its rows leave it."""

    index: int
    windows: tuple[RowWindow, ...]
    order_R: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Rows of the fill."""
        return len(self.order_R)


def cut_task_windows(task_rows: Sequence[tuple[int, int]], *, window_rows: int) -> WindowSet:
    """Cut tasks, given as (task, rows), into windows of `window_rows`; the last of a task may be shorter.

    Examples
    --------
    >>> windows = cut_task_windows([(4, 5), (5, 2)], window_rows=3)
    >>> list(zip(windows.task_W.tolist(), windows.start_W.tolist(), windows.stop_W.tolist()))
    [(4, 0, 3), (4, 3, 5), (5, 0, 2)]
    """
    task, rows = np.array(task_rows, dtype=np.int64).reshape(-1, 2).T
    count = -(-rows // window_rows)
    task_W = np.repeat(task, count)
    rank_W = np.arange(len(task_W)) - np.repeat(np.cumsum(count) - count, count)
    start_W = rank_W * window_rows
    return WindowSet(task_W, start_W, np.minimum(start_W + window_rows, np.repeat(rows, count)))


class EpochOrder:
    """The order of one epoch.

    The windows of each shard are permuted and then spread evenly over the epoch, at a random phase: the windows of a
    fill come from as many different shards as there are. Rows are counted along that order, and fill f covers rows
    ``[f * fill_rows, (f + 1) * fill_rows)`` of it, so any fill can be worked out without those before it; a window
    that lies across the border gives its first rows to one fill and the rest to the next.

    Parameters
    ----------
    windows
        Windows of the split.
    fill_rows
        Rows of a fill; the last one is shorter.
    seed, epoch
        Every pair has its own order.
    """

    def __init__(self, windows: WindowSet, *, fill_rows: int, seed: int, epoch: int) -> None:
        rng = np.random.default_rng([seed, epoch, Purpose.WINDOW_ORDER])
        order_W = _spread_order(windows.task_W, rng)
        self._task_W = windows.task_W[order_W]
        self._start_W = windows.start_W[order_W]
        self._stop_W = windows.stop_W[order_W]
        self._end_W = np.cumsum(self._stop_W - self._start_W)
        self._fill_rows = fill_rows
        self._seed, self._epoch = seed, epoch

    @property
    def fills(self) -> int:
        """Number of fills."""
        return -(-int(self._end_W[-1]) // self._fill_rows)

    def fill(self, index: int) -> Fill:
        """Work out one fill."""
        first = index * self._fill_rows
        stop = min(first + self._fill_rows, int(self._end_W[-1]))
        windows: list[RowWindow] = []
        for w in range(
            int(np.searchsorted(self._end_W, first, side="right")),
            int(np.searchsorted(self._end_W, stop, side="left")) + 1,
        ):
            end, begin = int(self._end_W[w]), int(self._end_W[w] - (self._stop_W[w] - self._start_W[w]))
            start = int(self._start_W[w]) + max(first - begin, 0)
            windows.append(RowWindow(int(self._task_W[w]), start, int(self._stop_W[w]) - max(end - stop, 0)))
        rng = np.random.default_rng([self._seed, self._epoch, Purpose.FILL_ORDER, index])
        return Fill(index, tuple(windows), rng.permutation(stop - first))


def _spread_order(task_W: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an order in which each task's windows are evenly spaced, themselves in random order.

    One phase for the whole task, not one for each window: a stretch shorter than the spacing of a task's windows
    then never holds two of them.
    """
    by_task = np.lexsort((rng.random(len(task_W)), task_W))
    _, first, inverse, count = np.unique(task_W[by_task], return_index=True, return_inverse=True, return_counts=True)
    rank_W = np.arange(len(task_W)) - first[inverse]
    place_W = (rank_W + rng.random(len(count))[inverse]) / count[inverse]
    return by_task[np.argsort(place_W, kind="stable")]
