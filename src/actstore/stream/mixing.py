"""How well batches are mixed, against what a uniform shuffle of all rows would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["expected_distinct"]


def expected_distinct(rows_by_sequence: NDArray[np.int32], batch_rows: int) -> float:
    """Return the expected number of distinct sequences in a batch drawn without replacement from all rows.

    ``sum_i 1 - C(N - n_i, B) / C(N, B)``: sequence i with n_i of N rows is missed by a batch of B with the
    hypergeometric probability of no success.

    Parameters
    ----------
    rows_by_sequence
        n_i; sequences without rows may be included.
    batch_rows
        B, at most the sum of n_i.

    Examples
    --------
    >>> round(expected_distinct(np.array([1, 1, 1, 1]), 3), 6)
    3.0
    >>> round(expected_distinct(np.array([2, 2]), 2), 6)  # 1 + P(different) = 1 + 2/3
    1.666667
    """
    counts, sequences = np.unique(rows_by_sequence[rows_by_sequence > 0], return_counts=True)
    total = int((counts.astype(np.int64) * sequences).sum())
    if not 0 < batch_rows <= total:
        raise ValueError(f"batch_rows must be in 1 .. {total}, not {batch_rows}")
    missed = np.array([_miss_probability(total, int(count), batch_rows) for count in counts])
    return float(((1.0 - missed) * sequences).sum())


def _miss_probability(total: int, count: int, batch_rows: int) -> float:
    # Multiplying over the smaller of the two counts: the probability is symmetric in them.
    few, many = sorted((count, batch_rows))
    if many > total - few:
        return 0.0
    return float(np.exp(np.log1p(-many / (total - np.arange(few, dtype=np.float64))).sum()))
