"""float16 and bfloat16: rounding to nearest, ties to even, no calibration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes

__all__ = ["BFloat16", "Float16"]

FLOAT16_LARGEST: Final = 65504.0
_BFLOAT16_LARGEST: Final = float(np.uint32(0x7F7F0000).view(np.float32))
_BFLOAT16_NAN: Final = np.uint32(0x7FC0)
_FLOAT16_EXPONENT: Final = np.uint16(0x7C00)
_SMALLEST_FLOAT32: Final = np.float32(1e-45)


class _Unscaled:
    """One stored number for each value: no calibration, no scales."""

    calibrated: Final = False
    scales: Final = None

    def stored_width(self, width: int) -> int:
        """Return D."""
        return width

    def scale_groups(self, width: int) -> int:
        """Return 0: there are no scales."""
        del width
        return 0


class Float16(_Unscaled):
    """IEEE half precision. Values beyond +-65,504 are clamped; the caller decides whether that is an error."""

    name: Final = "float16"
    stored_dtype: Final[np.dtype[Any]] = np.dtype("<f2")
    largest: Final[float] = FLOAT16_LARGEST

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Round to half precision."""
        del calibration
        return Planes(np.clip(values_ND, -FLOAT16_LARGEST, FLOAT16_LARGEST).astype(self.stored_dtype), None)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Widen to float32, exactly."""
        del calibration
        return _widened(planes.values_ND)


class BFloat16(_Unscaled):
    """The upper 16 bits of a float32, stored as uint16 since Zarr v3 has no core bfloat16."""

    name: Final = "bfloat16"
    stored_dtype: Final[np.dtype[Any]] = np.dtype("<u2")
    largest: Final[float] = _BFLOAT16_LARGEST

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Round to the nearest bfloat16, ties to even."""
        del calibration
        clipped = np.clip(values_ND, -_BFLOAT16_LARGEST, _BFLOAT16_LARGEST)
        bits = np.ascontiguousarray(clipped, dtype="<f4").view("<u4")
        rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)
        # Rounding would carry the all-ones exponent of a NaN into the sign.
        return Planes(np.where(np.isnan(clipped), _BFLOAT16_NAN, rounded).astype(self.stored_dtype), None)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Widen to float32, exactly."""
        del calibration
        wide = planes.values_ND.astype("<u4")
        wide <<= np.uint32(16)
        return wide.view(np.float32)


def _widened(values_ND: NDArray[np.float16]) -> Float32s:
    """Return half precision as float32, exactly.

    NumPy converts value by value, five times slower than this: sign, exponent and mantissa go to their places in a
    float32, whose exponent counts from 112 less.
    """
    bits_ND = np.asarray(values_ND, dtype="<f2").view("<u2")
    special = (bits_ND & _FLOAT16_EXPONENT == _FLOAT16_EXPONENT).any()
    if special or not _SMALLEST_FLOAT32 * np.float32(2.0):  # NaN, Inf; or this thread takes subnormal numbers for 0
        return values_ND.astype(np.float32)
    wide_ND = bits_ND.astype("<i4")
    wide_ND <<= np.int32(16)
    wide_ND >>= np.int32(3)  # of a signed number, so that the sign stays
    wide_ND &= np.int32(-0x70000001)  # clears its copies
    found_ND = wide_ND.view("<f4")
    found_ND *= np.float32(2.0**112)
    return found_ND
