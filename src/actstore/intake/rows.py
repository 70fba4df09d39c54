"""Rows of tasks that are read from the files of a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import Site
from actstore.contracts.parallel import ParallelMap
from actstore.contracts.tasks import Task, TaskRows
from actstore.extract.row_memory import allocate_rows
from actstore.extract.task import not_finite
from actstore.intake.source import Source

__all__ = ["ImportedRows"]


@dataclass(frozen=True, slots=True, eq=False)
class ImportedRows:
    """Rows that are read from files; a `contracts.tasks.RowSource`."""

    source: Source
    sites: tuple[Site, ...]
    order_N: NDArray[np.int64] | None = None
    """Place in the source of each sequence of the plan; None for the order of the source."""

    @property
    def device_rows(self) -> None:
        """Rows are on the host."""
        return

    def sequence_id(self, sequence: int) -> str:
        """Return the id of a sequence of the plan."""
        return self.source.sequence_id(self._place(sequence))

    def task_rows(
        self,
        task: Task,
        *,
        parallel: ParallelMap,
        take_rows: Callable[[int, Sequence[Site]], TaskRows] | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> TaskRows:
        """Read the rows of a task, a piece at a time; see `RowSource`.

        Raises
        ------
        SourceError
            If the files cannot be read any more.
        NumericsError
            If a value is NaN or infinite.
        """
        first_P = np.cumsum([0, *(len(piece.position_K) for piece in task.pieces)], dtype=np.int64)
        place_N = np.empty(task.rows, dtype=np.int64)
        place_N[task.order_N] = np.arange(task.rows, dtype=np.int64)
        rows = (take_rows or allocate_rows)(task.rows, self.sites)

        def fill(index: int) -> int:
            piece, place_K = task.pieces[index], place_N[first_P[index] : first_P[index + 1]]
            sequence, position_K = self._place(piece.sequence), piece.position_K
            rows.sequence_N[place_K] = piece.sequence
            rows.position_N[place_K] = position_K
            rows.token_N[place_K] = self.source.tokens(sequence, position_K)
            for site, values_KD in self.source.read(sequence, position_K).items():
                bad_K = np.flatnonzero(~np.isfinite(values_KD).all(axis=1))
                if len(bad_K):
                    where = f"{self.source.sequence_id(sequence)}, residue {position_K[bad_K[0]] + 1}, site {site}"
                    raise not_finite(where, values_KD[bad_K[0]], f"{len(bad_K)} such rows of this sequence")
                rows.values[site][place_K] = values_KD
            return len(place_K)

        for count in parallel(fill, range(len(task.pieces))):
            if on_rows is not None:
                on_rows(count)
        return rows

    def _place(self, sequence: int) -> int:
        return sequence if self.order_N is None else int(self.order_N[sequence])
