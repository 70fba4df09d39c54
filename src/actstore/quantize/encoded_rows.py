"""Rows of one site as planes, with their measures and faults."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s, Planes, Quantizer
from actstore.quantize.measure import Measures

__all__ = ["BadRow", "EncodedRows", "count_beyond"]


class BadRow(NamedTuple):
    """The first row that holds NaN or Inf."""

    row: int
    values_D: Float32s
    rows: int
    """Number of such rows."""


class EncodedRows(NamedTuple):
    """Rows of one site."""

    planes: Planes
    measures: Measures
    beyond_N: NDArray[np.int64] | None
    """Number of values of each row that the encoding cannot hold; None if it can hold any value."""
    bad: BadRow | None


def count_beyond(values_ND: Float32s, quantizer: Quantizer) -> NDArray[np.int64] | None:
    """Count the values of each row that an encoding cannot hold; None if it can hold any value."""
    if not np.isfinite(quantizer.largest):
        return None
    beyond_N: NDArray[np.int64] = (np.abs(values_ND) > quantizer.largest).sum(axis=1)
    return beyond_N
