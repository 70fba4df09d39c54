"""How well batches are mixed, compared with a uniform shuffle of all rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixing", "MixingReport", "expected_distinct"]


class MixingReport(NamedTuple):
    """Measures over full batches, each with its expectation under a uniform shuffle."""

    batches: int
    """Batches measured."""
    distinct_sequences: float
    """Distinct sequences in a batch, on average."""
    distinct_sequences_uniform: float
    distinct_ratio: float
    """The first divided by the second; 1 for a uniform shuffle."""
    neighbours: float
    """Share of the rows of a batch whose successor in the store is in the same batch."""
    neighbours_uniform: float
    """``(B - 1) / N``."""
    serial_correlation: float
    """Correlation of the row numbers at neighbouring places of a batch; 0 if uniform."""


class Mixing:
    """Measures batches.

    Parameters
    ----------
    sequences_by_rows
        Returns how many sequences have 0, 1, 2, ... of the delivered rows; None if that is not known. It is called
        once, by the first report, because in a large store counting takes longer than opening.
    batch_rows
        Rows of a full batch; other batches are left out.
    """

    def __init__(self, sequences_by_rows: Callable[[], NDArray[np.int64] | None], batch_rows: int) -> None:
        self._sequences_by_rows = cache(sequences_by_rows)
        self._batch_rows = batch_rows
        self._batches = self._distinct = self._neighbours = 0
        self._correlation = 0.0

    def add(self, row_B: NDArray[np.int64], sequence_B: NDArray[np.int64]) -> None:
        """Measure a batch, if it is full and has at least two rows."""
        if len(row_B) != self._batch_rows or len(row_B) < 2:
            return
        self._batches += 1
        sequences, rows = np.sort(sequence_B), np.sort(row_B)
        self._distinct += 1 + int(np.count_nonzero(sequences[1:] != sequences[:-1]))
        self._neighbours += int(np.count_nonzero(rows[1:] - rows[:-1] == 1))
        centred_B = row_B - row_B.mean()
        variance = float(centred_B @ centred_B)
        self._correlation += float(centred_B[1:] @ centred_B[:-1]) / variance

    def report(self) -> MixingReport | None:
        """Return the means over all batches; None if there was no batch, or the sequences are not known."""
        if not self._batches or (sequences_by_rows := self._sequences_by_rows()) is None:
            return None
        distinct = self._distinct / self._batches
        uniform = expected_distinct(sequences_by_rows, self._batch_rows)
        total = int(sequences_by_rows @ np.arange(len(sequences_by_rows)))
        return MixingReport(
            batches=self._batches,
            distinct_sequences=distinct,
            distinct_sequences_uniform=uniform,
            distinct_ratio=distinct / uniform,
            neighbours=self._neighbours / (self._batches * self._batch_rows),
            neighbours_uniform=(self._batch_rows - 1) / total,
            serial_correlation=self._correlation / self._batches,
        )


def expected_distinct(sequences_by_rows: NDArray[np.int64], batch_rows: int) -> float:
    """Return the expected number of distinct sequences in a batch drawn without replacement from all rows.

    ``sum_i 1 - C(N - n_i, B) / C(N, B)``: sequence i with n_i of N rows is missed by a batch of B with the
    hypergeometric probability of no success.

    Parameters
    ----------
    sequences_by_rows
        How many sequences have 0, 1, 2, ... rows.
    batch_rows
        B, at most the number of rows.

    Examples
    --------
    >>> round(expected_distinct(np.array([0, 4]), 3), 6)  # four sequences of one row
    3.0
    >>> round(expected_distinct(np.array([0, 0, 2]), 2), 6)  # two of two rows: 1 + P(different) = 1 + 2/3
    1.666667
    """
    counts = np.flatnonzero(sequences_by_rows)
    counts = counts[counts > 0]
    sequences = sequences_by_rows[counts]
    total = int(counts @ sequences)
    if not 0 < batch_rows <= total:
        raise ValueError(f"batch_rows must be in 1 .. {total}, not {batch_rows}")
    missed = np.array([_miss_probability(total, int(count), batch_rows) for count in counts])
    return float(((1.0 - missed) * sequences).sum())


def _miss_probability(total: int, count: int, batch_rows: int) -> float:
    # Multiply over the smaller of the two counts: the probability is symmetric in them.
    few, many = sorted((count, batch_rows))
    if many > total - few:
        return 0.0
    return float(np.exp(np.log1p(-many / (total - np.arange(few, dtype=np.float64))).sum()))
