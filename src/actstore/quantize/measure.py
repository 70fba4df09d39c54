"""Measure encoded rows: moments, norms, extremes and the noise of the encoding, in one pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.quantize.fidelity import round_trip_noise
from actstore.quantize.moments import Moments
from actstore.quantize.scales import block_rows

__all__ = ["Measures", "measure"]


class Measures(NamedTuple):
    """Measures of the rows of one task at one site."""

    moments: Moments
    norm_sum: float
    """Sum of the L2 norms of rows."""
    max_abs_D: NDArray[np.float64]
    """Largest magnitude of each channel."""
    noise_D: NDArray[np.float64]
    """Sum of squared differences between values and decoded values."""


def measure(values_ND: Float32s, planes: Planes, quantizer: Quantizer, calibration: Calibration | None) -> Measures:
    """Measure rows and their encoding.

    Every block of rows is read once and measured while it is in cache. Squares are added up in float32 within a
    block and in float64 across blocks, which is accurate to about 1e-6 of the sum.
    """
    rows, width = values_ND.shape
    parts: list[Moments] = []
    norm_sum = 0.0
    max_abs_D = np.zeros(width)
    noise_D = np.zeros(width)
    most = block_rows(width)
    for start in range(0, rows, most):
        block = slice(start, start + most)
        values_BD = values_ND[block]
        parts.append(Moments.of(values_BD))
        norm_sum += float(_norms(values_BD).sum(dtype=np.float64))
        np.maximum(max_abs_D, np.abs(values_BD).max(axis=0), out=max_abs_D)
        scale_BG = None if planes.scale_NG is None else planes.scale_NG[block]
        noise_D += round_trip_noise(values_BD, Planes(planes.values_ND[block], scale_BG), quantizer, calibration)
    moments = Moments.merged(parts) or Moments.of(values_ND)
    return Measures(moments, norm_sum, max_abs_D, noise_D)


def _norms(values_BD: Float32s) -> NDArray[np.floating]:
    """Return the L2 norm of each row; in float64 if squares exceed float32."""
    with np.errstate(over="ignore"):
        square_B = np.einsum("bd,bd->b", values_BD, values_BD)
    if not np.isfinite(square_B).all():
        square_B = np.einsum("bd,bd->b", values_BD, values_BD, dtype=np.float64)
    norm_B: NDArray[np.floating] = np.sqrt(square_B)
    return norm_B
