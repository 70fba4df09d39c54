"""The order of rows: a pure function of the store's tasks, the seed and the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose
from actstore.contracts.windows import RowWindow
from actstore.stream.permutation import Permutation

__all__ = ["EpochOrder", "Fill", "TaskRuns", "UniformOrder", "WindowOrder"]


@dataclass(frozen=True, slots=True, eq=False)
class TaskRuns:
    """The rows of a split, task by task."""

    task_T: NDArray[np.int64]
    rows_T: NDArray[np.int64]
    task_rows: int
    """Rows of a full task: the global row of row r of task t is ``t * task_rows + r``."""

    @classmethod
    def of(cls, tasks: Sequence[tuple[int, int]], *, task_rows: int) -> TaskRuns:
        """Return runs from (task, rows) pairs."""
        task_T, rows_T = np.array(tasks, dtype=np.int64).reshape(-1, 2).T
        return cls(task_T, rows_T, task_rows)

    @property
    def rows(self) -> int:
        """Rows of all tasks."""
        return int(self.rows_T.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """The rows that one seat mixes in memory at a time."""

    windows: tuple[RowWindow, ...]
    """Windows that hold the rows; empty if rows come from all tasks."""
    row_R: NDArray[np.int64]
    """Global rows, in the order in which they are delivered."""
    place_R: NDArray[np.int64]
    """Place of each row if the windows are laid end to end; empty without windows."""


class EpochOrder(Protocol):
    """The order of one epoch; any part can be computed without the parts before it."""

    def fill(self, start: int, stop: int) -> Fill:
        """Return the rows at places [start, stop) of the order, mixed."""
        ...


class UniformOrder:
    """A uniform permutation of all rows."""

    def __init__(self, runs: TaskRuns, *, seed: int, epoch: int) -> None:
        self._permutation = Permutation(runs.rows, seed=seed, epoch=epoch)
        self._end_T = np.cumsum(runs.rows_T)
        # Offset from a place, counted over existing rows, to its global row.
        self._shift_T = runs.task_T * runs.task_rows - (self._end_T - runs.rows_T)

    def fill(self, start: int, stop: int) -> Fill:
        """Return the rows at places [start, stop) of the permutation."""
        place_R = self._permutation(start, stop)
        if (self._shift_T == self._shift_T[0]).all():
            place_R += self._shift_T[0]
        else:
            place_R += self._shift_T[np.searchsorted(self._end_T, place_R, side="right")]
        return Fill((), place_R, np.empty(0, dtype=np.int64))


class WindowOrder:
    """Windows in a shuffled order, and the rows of each fill mixed.

    Tasks are cut into windows of `window_rows` (the last of a task may be shorter). The windows of each shard are
    permuted and then spread evenly over the epoch, at a random phase. So the windows of a fill come from as many
    different shards as possible. Rows are counted along that order; a window across the border of two fills gives its
    first rows to one and the rest to the next.
    """

    def __init__(self, runs: TaskRuns, *, window_rows: int, seed: int, epoch: int) -> None:
        rng = np.random.default_rng([seed, epoch, Purpose.WINDOW_ORDER])
        count_T = -(-runs.rows_T // window_rows)
        task_W = np.repeat(runs.task_T, count_T)
        start_W = (np.arange(len(task_W)) - np.repeat(np.cumsum(count_T) - count_T, count_T)) * window_rows
        rows_W = np.minimum(np.repeat(runs.rows_T, count_T) - start_W, window_rows)
        order_W = _spread_order(task_W, rng)
        self._task_W, self._start_W, self._rows_W = task_W[order_W], start_W[order_W], rows_W[order_W]
        self._end_W = np.cumsum(self._rows_W)
        self._task_rows = runs.task_rows
        self._key = (seed, epoch, int(Purpose.FILL_ORDER))

    def windows(self, start: int, stop: int) -> tuple[RowWindow, ...]:
        """Return the windows that hold the rows at places [start, stop)."""
        columns = (column_W.tolist() for column_W in self._cut(start, stop))
        return tuple(RowWindow(task, begin, begin + rows) for task, begin, rows in zip(*columns, strict=True))

    def fill(self, start: int, stop: int) -> Fill:
        """Return the rows at places [start, stop) of the windows in their order, mixed."""
        task_W, from_W, rows_W = self._cut(start, stop)
        row_R = np.arange(stop - start) + np.repeat(
            task_W * self._task_rows + from_W - (np.cumsum(rows_W) - rows_W), rows_W
        )
        place_R = np.random.default_rng([*self._key, start]).permutation(stop - start)
        return Fill(self.windows(start, stop), row_R[place_R], place_R)

    def _cut(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return task, first row and number of rows of each window, or part of one, at places [start, stop)."""
        first = int(np.searchsorted(self._end_W, start, side="right"))
        last = int(np.searchsorted(self._end_W, stop, side="left"))
        here = slice(first, last + 1)
        end_W = self._end_W[here]
        begin_W = end_W - self._rows_W[here]
        from_W = self._start_W[here] + np.maximum(start - begin_W, 0)
        rows_W = np.minimum(end_W, stop) - np.maximum(begin_W, start)
        return self._task_W[here], from_W, rows_W


def _spread_order(task_W: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an order in which each task's windows are evenly spaced, in random order.

    All windows of a task have one phase. So a run of places shorter than the spacing never holds two windows of a
    task.
    """
    by_task = np.lexsort((rng.random(len(task_W)), task_W))
    _, first, inverse, count = np.unique(task_W[by_task], return_index=True, return_inverse=True, return_counts=True)
    rank_W = np.arange(len(task_W)) - first[inverse]
    place_W = (rank_W + rng.random(len(count))[inverse]) / count[inverse]
    return by_task[np.argsort(place_W, kind="stable")]
