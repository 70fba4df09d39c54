"""int8, centred, channel-scaled and row-scaled: ``x ~ center_D + channel_D * row_N * q``.

The residual stream of a protein language model has channels fifty times larger than the rest. With only a
scale for each row, the ordinary channels would have two or three levels. Dividing every channel by its spread first
makes all of them alike. The row scale then adapts to each row, so that nothing clips.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes
from actstore.quantize.scales import block_rows, check_scales, needed, round_up

__all__ = ["Int8", "RowScaledInt8", "calibrate"]

_LEVELS: Final = 127
_NARROWEST: Final = 0.01
_LEAST: Final = 1e-30
"""Its inverse and all decoded values are within float32."""


class RowScaledInt8:
    """The layout with eight bits a value and a float16 scale for each row: 8 + 16 / D bits a value."""

    stored_dtype: Final[np.dtype[Any]] = np.dtype("<i1")
    scales: Final = "row"
    largest: Final[float] = float("inf")

    def stored_width(self, width: int) -> int:
        """Return D."""
        return width

    def scale_groups(self, width: int) -> int:
        """Return 1: a scale for the whole row."""
        del width
        return 1


class Int8(RowScaledInt8):
    """Centred, channel-scaled and row-scaled."""

    name: Final = "int8"
    calibrated: Final = True

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Encode rows; the row scale is rounded up to float16, so that no value exceeds 127 steps.

        Raises
        ------
        NumericsError
            If a row holds NaN or Inf, or lies so far from the calibration that its scale exceeds float16.
        """
        calibration = needed(calibration, encoding=self.name)
        rows, width = values_ND.shape
        q_ND = np.empty((rows, width), dtype=self.stored_dtype)
        scale_N1 = np.empty((rows, 1), dtype=np.float16)
        inverse_D = np.float32(1.0) / calibration.channel_D
        most = block_rows(width)
        for start in range(0, rows, most):
            block = slice(start, start + most)
            z_BD = values_ND[block] - calibration.center_D
            z_BD *= inverse_D
            scale_N1[block] = round_up(np.abs(z_BD).max(axis=1, keepdims=True, initial=0.0) / np.float32(_LEVELS))
            check_scales(scale_N1[block], start=start, encoding=self.name, most=65504 * _LEVELS)
            step_B1 = scale_N1[block].astype(np.float32)
            z_BD /= np.where(step_B1 > 0, step_B1, np.float32(1.0))
            np.rint(z_BD, out=z_BD)
            q_ND[block] = z_BD
        return Planes(q_ND, scale_N1)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Decode ``q`` [..., D] with scales [..., 1]; centre and channel broadcast against the last axes."""
        calibration = needed(calibration, encoding=self.name)
        if planes.scale_NG is None:
            raise ValueError("int8 planes need a scale for each row")
        values: NDArray[np.float32] = planes.values_ND.astype(np.float32)
        values *= planes.scale_NG.astype(np.float32)
        values *= calibration.channel_D
        values += calibration.center_D
        return values


def calibrate(mean_D: NDArray[np.float64], variance_D: NDArray[np.float64]) -> Calibration:
    """Return centre (mean) and channel scale (standard deviation) from the moments of a calibration sample.

    A channel that hardly varied in the sample gets a hundredth of the median deviation instead of its own, so
    that a later row which differs there does not get a very large row scale.
    """
    deviation_D = np.sqrt(variance_D)
    varying = deviation_D[deviation_D > 0]
    floor = max(_NARROWEST * float(np.median(varying)), _LEAST) if varying.size else 1.0
    return Calibration(mean_D.astype(np.float32), np.maximum(deviation_D, floor).astype(np.float32))
