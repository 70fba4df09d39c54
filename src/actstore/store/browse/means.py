"""The mean activation of each protein."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress
from actstore.store.browse.random_rows import RandomRows
from actstore.store.browse.row_numbers import RowNumbers

__all__ = ["SequenceMeans", "sequence_means"]

_BLOCK_ROWS: Final = 8192


class SequenceMeans(NamedTuple):
    """The mean activation of each protein at one site. Q is the number of proteins."""

    mean_QD: Float32s
    """float32 [Q, D], in the order of `Store.sequences`; NaN for a protein without rows."""
    rows_Q: NDArray[np.int64]
    """Rows behind each mean."""


def sequence_means(
    rows: RandomRows, numbers: RowNumbers, *, split: str | None, shape: tuple[int, int], progress: Progress
) -> SequenceMeans:
    """Read every row of a split once, and return the mean of each protein.

    Parameters
    ----------
    rows, numbers
        The rows of one site, and which of them there are.
    split
        Name of the split; None for all.
    shape
        Proteins of the store, and features of the site.
    progress
        Where to report.
    """
    places = numbers.places(split)
    mean_QD, rows_Q = np.zeros(shape, dtype=np.float32), np.zeros(shape[0], dtype=np.int64)
    with progress.stage("averaging proteins", total=len(places), unit="rows") as stage:
        for start in range(places.start, places.stop, _BLOCK_ROWS):
            found = rows.read(numbers.at(np.arange(start, min(start + _BLOCK_ROWS, places.stop))))
            sequence_N = found.origin.sequence_R
            order_N = np.argsort(sequence_N, kind="stable")
            sequence_Q, first_Q = np.unique(sequence_N[order_N], return_index=True)
            # In float64, as a protein may have thousands of rows in a block.
            mean_QD[sequence_Q] += np.add.reduceat(found.values_NSD[order_N, 0], first_Q, axis=0, dtype=np.float64)
            rows_Q[sequence_Q] += np.diff(first_Q, append=len(order_N))
            stage.advance(len(order_N))
    with np.errstate(invalid="ignore"):
        mean_QD /= rows_Q[:, None].astype(np.float32)
    return SequenceMeans(mean_QD, rows_Q)
