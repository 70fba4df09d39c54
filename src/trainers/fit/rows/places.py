"""Which residues the rows of a batch are of."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from actstore import Batch

__all__ = ["RowPlaces"]

_POSITIONS: Final = 1 << 31


class RowPlaces(NamedTuple):
    """Sequence and position of each row."""

    sequence_B: NDArray[np.int64]
    """Row of the sequence in `sequences.parquet`."""
    position_B: NDArray[np.int32]
    """Place of the residue in its sequence, counted from 0; below 0 if it is not known."""

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Return those of a batch."""
        return cls(batch.sequence_B, batch.position_B)

    def at(self, index_N: NDArray[np.int64]) -> RowPlaces:
        """Return those of some rows."""
        return RowPlaces(self.sequence_B[index_N], self.position_B[index_N])

    @property
    def key_B(self) -> NDArray[np.int64]:
        """One number for each residue: neighbours in a sequence differ by 1; -1 if the position is not known.

        Examples
        --------
        >>> RowPlaces(np.array([0, 0]), np.array([6, 7])).key_B.tolist()
        [6, 7]
        """
        key_B = self.sequence_B.astype(np.int64) * _POSITIONS + self.position_B
        return np.where(self.position_B < 0, -1, key_B)

    def neighbours(self) -> NDArray[np.int64]:
        """Return the pairs of rows that are neighbours in a sequence: their indices, [2, P], the earlier residue first.

        Examples
        --------
        >>> RowPlaces(np.array([0, 1, 0]), np.array([7, 7, 6])).neighbours().tolist()
        [[2], [0]]
        """
        key_B = self.key_B
        order_B = np.argsort(key_B, kind="stable")
        sorted_B = key_B[order_B]
        first_P = np.flatnonzero((np.diff(sorted_B) == 1) & (sorted_B[:-1] >= 0))
        return np.stack([order_B[first_P], order_B[first_P + 1]])
