"""Number of sequences of each length: read from a corpus, or expected by a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.recipe import CorpusRecipe

__all__ = ["ExpectedCorpus", "LengthCounts", "expected_corpus"]

_QUANTILES: Final = 100_000
"""Points at which a distribution of lengths is evaluated; the mean is then exact to a hundredth of a per cent."""


@dataclass(frozen=True, slots=True, eq=False)
class LengthCounts:
    """The lengths L that occur, and how often. Its size does not grow with the corpus."""

    length_L: NDArray[np.int64]
    count_L: NDArray[np.int64]

    @classmethod
    def of(cls, length_N: NDArray[np.int32]) -> LengthCounts:
        """Count the lengths of sequences.

        Examples
        --------
        >>> LengthCounts.of(np.array([7, 5, 7], dtype=np.int32)).count_L.tolist()
        [1, 2]
        """
        length_L, count_L = np.unique(length_N, return_counts=True)
        return cls(length_L.astype(np.int64), count_L.astype(np.int64))

    @property
    def sequences(self) -> int:
        """Sequences of all lengths."""
        return int(self.count_L.sum())

    @property
    def residues(self) -> int:
        """Residues of all sequences."""
        return int((self.count_L * self.length_L).sum())


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedCorpus:
    """The corpus that a recipe expects, after its length rules."""

    lengths: LengthCounts
    skipped: dict[str, int]
    """Sequences that the length rules leave out, by reason, as `scan` counts them."""


def expected_corpus(recipe: CorpusRecipe) -> ExpectedCorpus:
    """Return the lengths given by `expected_sequences` and `expected_lengths`.

    The quantiles are taken at even steps from the shortest sequence to the longest, and joined by straight lines.

    Raises
    ------
    ValueError
        If the recipe names files.

    Examples
    --------
    >>> recipe = CorpusRecipe(expected_sequences=1_000_000, expected_lengths=(512,))
    >>> expected_corpus(recipe).lengths.residues
    512000000
    """
    if recipe.expected_sequences is None or recipe.expected_lengths is None:
        raise ValueError("the recipe names files; their lengths are read, not expected")
    spread = _spread(recipe.expected_sequences, np.asarray(recipe.expected_lengths, dtype=np.float64))
    length_L, count_L, skipped = spread.length_L, spread.count_L, {}
    longest = recipe.max_residues
    if recipe.long_sequences == "skip":
        longest = recipe.window_residues if longest is None else min(longest, recipe.window_residues)
    reasons = {"too short": length_L < recipe.min_residues}
    if longest is not None:
        reasons["too long"] = length_L > longest
    for reason, is_out_L in reasons.items():
        if is_out_L.any():
            skipped[reason] = int(count_L[is_out_L].sum())
    is_kept_L = ~np.logical_or.reduce(list(reasons.values()))
    length_L, count_L = length_L[is_kept_L], count_L[is_kept_L]
    if recipe.long_sequences == "truncate":
        length_L = np.minimum(length_L, recipe.window_residues)
    return ExpectedCorpus(_merged(length_L, count_L), skipped)


def _spread(sequences: int, quantile_Q: NDArray[np.float64]) -> LengthCounts:
    points = min(sequences, _QUANTILES)
    share_P = (np.arange(points) + 0.5) / points
    steps = max(len(quantile_Q), 2)
    length_P = np.interp(share_P, np.linspace(0.0, 1.0, steps), np.resize(quantile_Q, steps))
    until_P = np.arange(points + 1, dtype=np.int64) * sequences // points
    return _merged(np.floor(length_P + 0.5).astype(np.int64), np.diff(until_P))


def _merged(length_P: NDArray[np.int64], count_P: NDArray[np.int64]) -> LengthCounts:
    length_L, which_P = np.unique(length_P, return_inverse=True)
    count_L = np.zeros(len(length_L), dtype=np.int64)
    np.add.at(count_L, which_P, count_P)
    return LengthCounts(length_L, count_L)
