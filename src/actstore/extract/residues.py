"""Which residues of a sequence become rows: a pure function of its id, its length and the rules.

The draws of a sequence depend only on its id, so adding sequences changes nothing for the others. For one seed, the
residues of a smaller fraction are a subset of those of a larger one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, UInt64s, derive_key, draws, uniform
from actstore.contracts.rules import RowRules

__all__ = ["expected_counts", "kept_counts", "kept_positions"]


def kept_counts(id_hash_N: UInt64s, length_N: NDArray[np.int32], rules: RowRules) -> NDArray[np.int32]:
    """Return how many residues of each sequence are kept, int32 [N].

    ``floor(fraction * length + u)`` with one uniform draw u for each sequence, so that short sequences are
    neither preferred nor lost; then at most `max_per_sequence`.

    Examples
    --------
    >>> ids = np.arange(4, dtype=np.uint64)
    >>> kept_counts(ids, np.full(4, 100, np.int32), RowRules(seed=0, fraction=0.1)).tolist()
    [10, 10, 10, 10]
    """
    u_N = uniform(derive_key(rules.seed, Purpose.ROW_COUNT), id_hash_N)
    count_N = np.minimum(np.floor(rules.fraction * length_N + u_N), length_N)
    if rules.max_per_sequence is not None:
        count_N = np.minimum(count_N, rules.max_per_sequence)
    return count_N.astype(np.int32)


def expected_counts(length_L: NDArray[np.int64], rules: RowRules) -> NDArray[np.float64]:
    """Return the mean of `kept_counts` over all ids, for sequences of these lengths: float64 [L].

    Examples
    --------
    >>> expected_counts(np.array([100, 105]), RowRules(seed=0, fraction=0.1)).tolist()
    [10.0, 10.5]
    """
    share_L = rules.fraction * length_L
    least_L = np.floor(share_L)
    most = np.inf if rules.max_per_sequence is None else float(rules.max_per_sequence)
    more_L = share_L - least_L
    mean_L: NDArray[np.float64] = (1 - more_L) * np.minimum(least_L, most) + more_L * np.minimum(least_L + 1, most)
    return mean_L


def kept_positions(id_hash: int, length: int, count: int, *, seed: int) -> NDArray[np.int32]:
    """Return the kept residues of one sequence, ascending int32 [count]: those with the smallest draws.

    Examples
    --------
    >>> kept_positions(7, length=50, count=3, seed=0).tolist()
    [7, 19, 28]
    """
    if count == length:
        return np.arange(length, dtype=np.int32)
    key = derive_key(seed, Purpose.RESIDUES, id_hash)
    draw_L = draws(key, np.arange(length, dtype=np.uint64))
    return np.sort(np.argpartition(draw_L, count)[:count]).astype(np.int32)
