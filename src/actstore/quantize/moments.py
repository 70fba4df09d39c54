"""Mean and spread of every channel, mergeable without losing precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s

__all__ = ["Moments", "sum_of_squares"]

_BLOCK_ROWS: Final = 512
"""Number of squares that are added up in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Count, mean and sum of squared deviations of each channel, in float64."""

    count: int
    mean_D: NDArray[np.float64]
    m2_D: NDArray[np.float64]

    @classmethod
    def of(cls, values_ND: Float32s) -> Self:
        """Compute the moments of the rows of one array, [N, D]."""
        count, width = values_ND.shape
        if not count:
            return cls(0, np.zeros(width), np.zeros(width))
        mean_D = values_ND.mean(axis=0, dtype=np.float64)
        centred_ND = values_ND - mean_D.astype(np.float32)
        # The mean was rounded to float32 for the subtraction; the second term corrects that offset.
        drift_D = mean_D - mean_D.astype(np.float32).astype(np.float64)
        m2_D = sum_of_squares(centred_ND) - count * drift_D**2
        return cls(count, mean_D, np.maximum(m2_D, 0.0))

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of rows (Chan, Golub & LeVeque, 1979, updating formulae)."""
        if not self.count or not other.count:
            return other if other.count else self
        count = self.count + other.count
        delta_D = other.mean_D - self.mean_D
        return type(self)(
            count,
            self.mean_D + delta_D * (other.count / count),
            self.m2_D + other.m2_D + delta_D**2 * (self.count * other.count / count),
        )

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self | None:
        """Merge any number of parts in the order given; None if there are none."""
        total: Self | None = None
        for part in parts:
            total = part if total is None else total.merge(part)
        return total

    @property
    def variance_D(self) -> NDArray[np.float64]:
        """Population variance of each channel; zero without rows."""
        return self.m2_D / max(self.count, 1)


def sum_of_squares(values_ND: Float32s) -> NDArray[np.float64]:
    """Add up the squares of each channel, [D]: in float32 within blocks of rows, in float64 across them."""
    total_D = np.zeros(values_ND.shape[1])
    for start in range(0, len(values_ND), _BLOCK_ROWS):
        block_BD = values_ND[start : start + _BLOCK_ROWS]
        with np.errstate(over="ignore"):
            square_D = np.einsum("bd,bd->d", block_BD, block_BD)
        if not np.isfinite(square_D).all():
            square_D = np.einsum("bd,bd->d", block_BD, block_BD, dtype=np.float64)
        total_D += square_D
    return total_D
