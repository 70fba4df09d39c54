"""The geometric median of rows."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["geometric_median"]

_ROUNDS: Final = 50
_LEAST_DISTANCE: Final = 1e-9
"""Beside the root mean square distance of the rows from their mean: a row at the median has no infinite weight."""


def geometric_median(values_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the point with the least sum of distances to the rows, by Weiszfeld's iteration (50 rounds).

    Examples
    --------
    >>> geometric_median(np.array([[0.0], [0.0], [0.0], [90.0]])).round(3).tolist()
    [0.0]
    """
    values = values_ND.astype(np.float64)
    median_D = values.mean(axis=0)
    least = _LEAST_DISTANCE * np.sqrt(((values - median_D) ** 2).sum(axis=1).mean())
    for _ in range(_ROUNDS):
        weight_N = 1.0 / np.maximum(np.linalg.norm(values - median_D, axis=1), least or 1.0)
        median_D = weight_N @ values / weight_N.sum()
    return np.asarray(median_D)
