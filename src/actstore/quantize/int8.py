"""int8, centred, channel-scaled and row-scaled: ``x ~ center_D + channel_D * row_N * q``.

The residual stream of a protein language model has channels fifty times larger than the rest. A scale for each
row alone would leave the ordinary channels two or three levels; dividing every channel by its spread first makes
all of them alike, and the row scale then adapts to each row so that nothing clips.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes
from actstore.errors import NumericsError

__all__ = ["Int8", "calibrate"]

_LEVELS: Final = 127
_BLOCK_ROWS: Final = 512  # keeps the temporaries of a block in cache
_NARROWEST: Final = 0.01


class Int8:
    """Eight bits and a float16 scale for each row: 8 + 16 / D bits a value."""

    name: Final = "int8"
    stored_dtype: Final[np.dtype[Any]] = np.dtype("<i1")
    calibrated: Final = True
    largest: Final[float] = float("inf")

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Encode rows; the row scale is rounded up to float16, so that no value exceeds 127 steps.

        Raises
        ------
        NumericsError
            If a row holds NaN or Inf, or lies so far from the calibration that its scale exceeds float16.
        """
        calibration = _needed(calibration)
        rows, width = values_ND.shape
        q_ND = np.empty((rows, width), dtype=self.stored_dtype)
        scale_N = np.empty(rows, dtype=np.float16)
        inverse_D = np.float32(1.0) / calibration.channel_D
        for start in range(0, rows, _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            z_BD = values_ND[block] - calibration.center_D
            z_BD *= inverse_D
            scale_N[block] = _round_up(np.abs(z_BD).max(axis=1, initial=0.0) / np.float32(_LEVELS))
            _check_finite(scale_N[block], start)
            step_B = scale_N[block].astype(np.float32)
            z_BD /= np.where(step_B > 0, step_B, np.float32(1.0))[:, None]
            np.rint(z_BD, out=z_BD)
            q_ND[block] = z_BD
        return Planes(q_ND, scale_N)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Decode ``q`` [..., D] with scales [...]; centre and channel broadcast against the last axes."""
        calibration = _needed(calibration)
        if planes.scale_N is None:
            raise ValueError("int8 planes need a scale for each row")
        values: NDArray[np.float32] = planes.values_ND.astype(np.float32)
        values *= planes.scale_N.astype(np.float32)[..., None]
        values *= calibration.channel_D
        values += calibration.center_D
        return values


def calibrate(mean_D: NDArray[np.float64], variance_D: NDArray[np.float64]) -> Calibration:
    """Return centre (mean) and channel scale (standard deviation) from the moments of a calibration sample.

    A channel that hardly varied in the sample gets a hundredth of the median deviation instead of its own, so
    that a later row which differs there cannot blow up its row scale.
    """
    deviation_D = np.sqrt(variance_D)
    varying = deviation_D[deviation_D > 0]
    floor = _NARROWEST * float(np.median(varying)) if varying.size else 1.0
    return Calibration(mean_D.astype(np.float32), np.maximum(deviation_D, floor).astype(np.float32))


def _needed(calibration: Calibration | None) -> Calibration:
    if calibration is None:
        raise ValueError("int8 needs a calibration (centre and channel scale)")
    return calibration


def _check_finite(scale_B: NDArray[np.float16], start: int) -> None:
    bad_B = np.flatnonzero(~np.isfinite(scale_B))
    if len(bad_B):
        raise NumericsError(
            f"int8 row scale of row {start + bad_B[0]} is {scale_B[bad_B[0]]}: it holds NaN or Inf, or is more than "
            f"{int(np.finfo(np.float16).max) * _LEVELS:,} channel deviations from the calibrated centre; "
            "use encoding = 'bfloat16' for this model"
        )


def _round_up(scale_N: Float32s) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):
        rounded = scale_N.astype(np.float16)
    return np.where(rounded.astype(np.float32) < scale_N, np.nextafter(rounded, np.float16(np.inf)), rounded)
