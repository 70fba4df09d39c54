"""Sequence length -> overlapping windows, every residue kept once, where it has most context."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.sequences import Window

__all__ = ["cut_windows", "window_counts"]


def cut_windows(length: int, *, window: int, overlap: int) -> tuple[Window, ...]:
    """Cut a sequence into windows of exactly `window` residues, or a single shorter one.

    There are ``n = ceil((length - overlap) / (window - overlap))`` windows, with starts
    ``i * (length - window) // (n - 1)``: evenly spread, the first at the first residue, the last ending with the last.
    The parts that are kept meet in the middle of each overlap, so that a residue is kept where its distance
    to the nearer cut edge is largest; the ends of the protein are no cuts.

    Parameters
    ----------
    length
        Residues of the sequence, at least 1.
    window
        Most residues the model sees at once.
    overlap
        Least number of residues that neighbouring windows share; less than `window`.

    Raises
    ------
    ValueError
        If `length` is less than 1 or `overlap` is not in ``0 .. window - 1``.

    Examples
    --------
    >>> cut_windows(10, window=6, overlap=2)
    (Window(start=0, stop=6, keep_start=0, keep_stop=5), Window(start=4, stop=10, keep_start=5, keep_stop=10))
    """
    _check(window, overlap)
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}")
    if length <= window:
        return (Window(0, length, 0, length),)
    count = -(-(length - overlap) // (window - overlap))
    starts = [index * (length - window) // (count - 1) for index in range(count)]
    cuts = [0, *((start + before + window) // 2 for before, start in pairwise(starts)), length]
    return tuple(
        Window(start, start + window, keep_start, keep_stop)
        for start, keep_start, keep_stop in zip(starts, cuts[:-1], cuts[1:], strict=True)
    )


def window_counts(length_N: NDArray[np.int32], *, window: int, overlap: int) -> NDArray[np.int32]:
    """Return how many windows `cut_windows` makes of each length: int32 [N].

    Examples
    --------
    >>> window_counts(np.array([1, 6, 7, 10, 11], dtype=np.int32), window=6, overlap=2)
    array([1, 1, 2, 2, 3], dtype=int32)
    """
    _check(window, overlap)
    long_count_N = -(-(length_N.astype(np.int64) - overlap) // (window - overlap))
    return np.where(length_N <= window, 1, long_count_N).astype(np.int32)


def _check(window: int, overlap: int) -> None:
    if not 0 <= overlap < window:
        raise ValueError(f"overlap must be in 0 .. window - 1 = {window - 1}, not {overlap}")
