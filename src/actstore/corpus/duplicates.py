"""Finds repeated ids by 64-bit hash, in 16 bytes per sequence."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import UInt64s

__all__ = ["SeenHashes"]

_MERGE_RATIO: Final = 4


class SeenHashes:
    """A growing multiset of (hash, sequence) pairs with batched look-ups.

    Kept as sorted runs of geometrically growing size, so that adding N hashes in batches costs O(N log N) copies
    and a look-up a few binary searches; a Python set of ten million ids would take about a gigabyte.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[tuple[UInt64s, NDArray[np.int64]]] = []

    def contains(self, hash_B: UInt64s) -> NDArray[np.bool_]:
        """Return whether each hash was added before: bool [B]."""
        seen_B = np.zeros(len(hash_B), dtype=np.bool_)
        for run_hash_N, _ in self._runs:
            slot_B = np.searchsorted(run_hash_N, hash_B)
            slot_B[slot_B == len(run_hash_N)] = 0
            seen_B |= run_hash_N[slot_B] == hash_B
        return seen_B

    def sequences(self, id_hash: int) -> list[int]:
        """Return every sequence that was added with this hash; more than one only if different ids share it."""
        wanted = np.uint64(id_hash)
        found: list[int] = []
        for run_hash_N, run_sequence_N in self._runs:
            start, stop = np.searchsorted(run_hash_N, wanted, "left"), np.searchsorted(run_hash_N, wanted, "right")
            found += run_sequence_N[start:stop].tolist()
        return found

    def add(self, hash_B: UInt64s, *, first_sequence: int) -> None:
        """Add the hashes of sequences ``first_sequence, first_sequence + 1, ...``."""
        if not len(hash_B):
            return
        run = _sorted(hash_B, np.arange(first_sequence, first_sequence + len(hash_B), dtype=np.int64))
        while self._runs and len(self._runs[-1][0]) < _MERGE_RATIO * len(run[0]):
            earlier_hash_N, earlier_sequence_N = self._runs.pop()
            run = _sorted(np.concatenate([earlier_hash_N, run[0]]), np.concatenate([earlier_sequence_N, run[1]]))
        self._runs.append(run)


def _sorted(hash_N: UInt64s, sequence_N: NDArray[np.int64]) -> tuple[UInt64s, NDArray[np.int64]]:
    order_N = np.argsort(hash_N, kind="stable")
    return hash_N[order_N], sequence_N[order_N]
