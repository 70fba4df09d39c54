"""The twenty residues: their natural frequencies and substitution probabilities."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BACKGROUND_A", "RESIDUES", "SUBSTITUTION_AA", "draw_residues", "residue_text"]

RESIDUES: Final = "ARNDCQEGHILKMFPSTWYV"
"""The alphabet; axis A of every array here is in this order."""

_SWISS_PROT_PERCENT: Final = {
    "A": 8.25, "R": 5.52, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.71, "G": 7.07, "H": 2.27, "I": 5.90,
    "L": 9.64, "K": 5.79, "M": 2.41, "F": 3.86, "P": 4.75, "S": 6.66, "T": 5.36, "W": 1.10, "Y": 2.92, "V": 6.85,
}  # fmt: skip

_BLOSUM62: Final = """
 4 -1 -2 -2  0 -1 -1  0 -2 -1 -1 -1 -1 -2 -1  1  0 -3 -2  0
-1  5  0 -2 -3  1  0 -2  0 -3 -2  2 -1 -3 -2 -1 -1 -3 -2 -3
-2  0  6  1 -3  0  0  0  1 -3 -3  0 -2 -3 -2  1  0 -4 -2 -3
-2 -2  1  6 -3  0  2 -1 -1 -3 -4 -1 -3 -3 -1  0 -1 -4 -3 -3
 0 -3 -3 -3  9 -3 -4 -3 -3 -1 -1 -3 -1 -2 -3 -1 -1 -2 -2 -1
-1  1  0  0 -3  5  2 -2  0 -3 -2  1  0 -3 -1  0 -1 -2 -1 -2
-1  0  0  2 -4  2  5 -2  0 -3 -3  1 -2 -3 -1  0 -1 -3 -2 -2
 0 -2  0 -1 -3 -2 -2  6 -2 -4 -4 -2 -3 -3 -2  0 -2 -2 -3 -3
-2  0  1 -1 -3  0  0 -2  8 -3 -3 -1 -2 -1 -2 -1 -2 -2  2 -3
-1 -3 -3 -3 -1 -3 -3 -4 -3  4  2 -3  1  0 -3 -2 -1 -3 -1  3
-1 -2 -3 -4 -1 -2 -3 -4 -3  2  4 -2  2  0 -3 -2 -1 -2 -1  1
-1  2  0 -1 -3  1  1 -2 -1 -3 -2  5 -1 -3 -1  0 -1 -3 -2 -2
-1 -1 -2 -3 -1  0 -2 -3 -2  1  2 -1  5  0 -2 -1 -1 -1 -1  1
-2 -3 -3 -3 -2 -3 -3 -3 -1  0  0 -3  0  6 -4 -2 -2  1  3 -1
-1 -2 -2 -1 -3 -1 -1 -2 -2 -3 -3 -1 -2 -4  7 -1 -1 -4 -3 -2
 1 -1  1  0 -1  0  0  0 -1 -2 -2  0 -1 -2 -1  4  1 -3 -2 -2
 0 -1  0 -1 -1 -1 -1 -2 -2 -1 -1 -1 -1 -2 -1  1  5 -2 -2  0
-3 -3 -4 -4 -2 -2 -3 -2 -2 -3 -2 -3 -1  1 -4 -3 -2 11  2 -3
-2 -2 -2 -3 -2 -1 -2 -3  2 -1 -1 -2 -1  3 -3 -2 -2  2  7 -1
 0 -3 -3 -3 -1 -2 -2 -3 -3  3  1 -2  1 -1 -2 -2  0 -3 -1  4
"""


def _background() -> NDArray[np.float64]:
    percent_A = np.array([_SWISS_PROT_PERCENT[residue] for residue in RESIDUES])
    background_A: NDArray[np.float64] = percent_A / percent_A.sum()
    return background_A


def _substitution() -> NDArray[np.float64]:
    scores_AA = np.array(_BLOSUM62.split(), dtype=np.float64).reshape(len(RESIDUES), len(RESIDUES))
    # A score is 2 log2(q_ab / (p_a p_b)), so q_ab / p_a is p_b 2^(score / 2); the diagonal is no substitution.
    rates_AA = _background() * 2 ** (scores_AA / 2)
    np.fill_diagonal(rates_AA, 0.0)
    substitution_AA: NDArray[np.float64] = rates_AA / rates_AA.sum(axis=1, keepdims=True)
    return substitution_AA


BACKGROUND_A: Final = _background()
"""Frequency of each residue, float64 [20]: UniProtKB/Swiss-Prot release 2026_03, statistics, section 6.1."""

SUBSTITUTION_AA: Final = _substitution()
"""Probability of the new residue (columns) when one (rows) is replaced, float64 [20, 20]: from the log-odds scores
of BLOSUM62 (Henikoff & Henikoff, 1992, "Amino acid substitution matrices from protein blocks")."""

_ASCII_A: Final = np.frombuffer(RESIDUES.encode("ascii"), dtype=np.uint8)


def draw_residues(rng: np.random.Generator, weights_RA: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw one residue for each row of weights.

    Parameters
    ----------
    rng
        Source of the draws, one for each row.
    weights_RA
        float64 [R, 20], non-negative, every row with a positive sum; a residue of weight zero is never drawn.

    Returns
    -------
    ndarray
        int64 [R], indices into `RESIDUES`.
    """
    cumulative_RA = np.cumsum(weights_RA, axis=1)
    cumulative_RA /= cumulative_RA[:, -1:]
    drawn_R: NDArray[np.int64] = (rng.random(len(weights_RA))[:, None] >= cumulative_RA).sum(axis=1)
    return drawn_R


def residue_text(residues_R: NDArray[np.int64]) -> str:
    """Return indices into `RESIDUES` as text.

    Examples
    --------
    >>> residue_text(np.array([12, 0, 15]))
    'MAS'
    """
    return _ASCII_A[residues_R].tobytes().decode("ascii")
