"""Which numbers of rows are in use: tasks that are not extracted, and the ends of splits, leave holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.suggest import did_you_mean
from actstore.errors import UsageError
from actstore.store.read.manifest import Manifest

__all__ = ["RowNumbers"]


class RowNumbers:
    """The rows that a manifest has, by their places without holes.

    Parameters
    ----------
    manifest
        Of the store.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest, frozen = manifest, manifest.frozen
        self.task_T = np.array([task for task, commit in enumerate(manifest.commits) if commit is not None], np.int64)
        """Tasks that are extracted."""
        self.rows_T = np.array([frozen.rows_of(task) for task in self.task_T.tolist()], dtype=np.int64)
        """Rows of each of them."""
        self._first_T = self.task_T * frozen.layout.task_rows
        self._begin_T = self.rows_T.cumsum() - self.rows_T

    def __len__(self) -> int:
        return int(self.rows_T.sum())

    def at(self, place_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the rows at some places, each from 0 to the number of rows."""
        index_N = np.searchsorted(self._begin_T, place_N, side="right") - 1
        return self._first_T[index_N] + place_N - self._begin_T[index_N]

    def places(self, split: str | None) -> range:
        """Return the places of the rows of a split; None for all.

        Raises
        ------
        UsageError
            If there is no such split.
        """
        if split is None:
            return range(len(self))
        splits = self._manifest.splits
        if split not in splits:
            raise UsageError(f"no split {split!r}; there are {', '.join(splits)}{did_you_mean(split, splits)}")
        facts = splits[split]
        inside = (self.task_T >= facts.first_task) & (self.task_T < facts.first_task + facts.tasks)
        begin = int(self.rows_T[self.task_T < facts.first_task].sum())
        return range(begin, begin + int(self.rows_T[inside].sum()))

    def between(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the numbers in use from `start` to `stop`, exclusive."""
        parts = [
            np.arange(max(first, start), min(first + rows, stop))
            for first, rows in zip(self._first_T.tolist(), self.rows_T.tolist(), strict=True)
            if first < stop and first + rows > start
        ]
        return np.concatenate([np.empty(0, dtype=np.int64), *parts])
