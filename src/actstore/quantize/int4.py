"""int4, centred, channel-scaled, and scaled by row and group of channels: ``x ~ center_D + channel_D * scale_G * q``.

With sixteen levels the largest value of a row decides how coarse the others are. So a scale serves a group of about
128 neighbouring channels instead of the whole row. The levels are -8 to 7, and the scale may be negative: its sign
maps the side that reaches farther from zero to -8. Its size is the smallest for which every value of the group is
within half a step of a level. So nothing clips, zero is a level, and all sixteen levels are used.

Layout of `q`: channel 2i in the low and channel 2i + 1 in the high four bits of byte i, each as ``q + 8`` (0 to 15).
The high half of the last byte of an odd width is 8, which is zero.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes
from actstore.quantize.scales import block_rows, check_scales, needed, round_up

__all__ = ["Int4", "group_width"]

_ZERO: Final = 8
"""Stored value of `q` = 0."""
_FAR_REACH: Final = np.float32(8.5)
_NEAR_REACH: Final = np.float32(7.5)
"""Steps from zero to half a step beyond the last level on the side of -8 and on the side of 7."""
_GROUP: Final = 128
"""Channels of a group if the width is a multiple of it: 4.125 bits a value."""


class Int4:
    """Four bits and a float16 scale for each row and group of channels.

    Bits a value are 4 + 16 / (channels of a group): 4.125 at 128, 1,024, 1,280 and 2,560 features, 4.1 at 320, less
    than 4.2 at any width from 128 up.
    """

    name: Final = "int4"
    stored_dtype: Final[np.dtype[Any]] = np.dtype("u1")
    calibrated: Final = True
    scales: Final = "group"
    largest: Final[float] = float("inf")

    def stored_width(self, width: int) -> int:
        """Return ceil(D / 2) bytes."""
        return -(-width // 2)

    def scale_groups(self, width: int) -> int:
        """Return the number of groups of `group_width` channels; the last one may be narrower."""
        return -(-width // group_width(width))

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Encode rows; the size of a scale is rounded up to float16, so that every value is within half a step.

        Raises
        ------
        NumericsError
            If a row holds NaN or Inf, or lies so far from the calibration that a scale exceeds float16.
        """
        calibration = needed(calibration, encoding=self.name)
        rows, width = values_ND.shape
        groups, wide = self.scale_groups(width), group_width(width)
        packed_NW = np.empty((rows, self.stored_width(width)), dtype=self.stored_dtype)
        scale_NG = np.empty((rows, groups), dtype=np.float16)
        inverse_D = np.float32(1.0) / calibration.channel_D
        most = block_rows(width)
        z_BGC = np.empty((min(rows, most), groups, wide), dtype=np.float32)
        for start in range(0, rows, most):
            block = slice(start, min(start + most, rows))
            here_BGC = z_BGC[: block.stop - start]
            here_BX = here_BGC.reshape(len(here_BGC), groups * wide)
            z_BD = here_BX[:, :width]
            np.subtract(values_ND[block], calibration.center_D, out=z_BD)
            z_BD *= inverse_D
            here_BX[:, width:] = 0
            scale_NG[block] = _scales(here_BGC)
            check_scales(scale_NG[block], start=start, encoding=self.name, most=65504 * float(_NEAR_REACH))
            step_BG = scale_NG[block].astype(np.float32)
            here_BGC /= np.where(step_BG != 0, step_BG, np.float32(1.0))[:, :, None]
            packed_NW[block] = _pack(here_BX)[:, : packed_NW.shape[1]]
        return Planes(packed_NW, scale_NG)

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Decode bytes [..., ceil(D / 2)] with scales [..., G]; centre and channel broadcast against the last axes.

        D is the width of the calibration. Further scales are the padding of narrower sites, and are ignored.
        """
        calibration = needed(calibration, encoding=self.name)
        width = calibration.center_D.shape[-1]
        groups = self.scale_groups(width)
        if planes.scale_NG is None or planes.scale_NG.shape[-1] < groups:
            raise ValueError(f"int4 planes of width {width} need {groups} scales for each row")
        step_NG = planes.scale_NG[..., :groups].astype(np.float32)
        level_NGC = np.full((*step_NG.shape, group_width(width)), _ZERO, dtype=np.float32)
        level_NX = level_NGC.reshape(*step_NG.shape[:-1], groups * group_width(width))
        stored = 2 * self.stored_width(width)
        level_NX[..., 0:stored:2] = planes.values_ND & 15
        level_NX[..., 1:stored:2] = planes.values_ND >> 4
        level_NGC -= np.float32(_ZERO)
        level_NGC *= step_NG[..., None]
        values = np.ascontiguousarray(level_NX[..., :width])
        values *= calibration.channel_D
        values += calibration.center_D
        return values


def group_width(width: int) -> int:
    """Return the channels of a group: even, so that the two channels of a byte share a scale, and 128 or little more.

    Channel d belongs to group ``d // group_width(D)``. With ``g = max(1, D // 128)`` it is D / g rounded up to the
    next even number.
    """
    groups = max(1, width // _GROUP)
    return 2 * -(-width // (2 * groups))


def _scales(z_BGC: Float32s) -> NDArray[np.float16]:
    """Return the scale of each group; only extremes decide it, so the order of additions does not matter."""
    above_BG = np.maximum(z_BGC.max(axis=2), 0)
    below_BG = np.maximum(-z_BGC.min(axis=2), 0)
    size_BG = np.maximum(
        np.maximum(above_BG, below_BG) / _FAR_REACH,
        np.minimum(above_BG, below_BG) / _NEAR_REACH,
    )
    scale_BG = round_up(size_BG)
    return np.where(above_BG > below_BG, -scale_BG, scale_BG)


def _pack(level_BX: Float32s) -> NDArray[np.uint8]:
    """Round to levels in place and put two into a byte: float32 [B, X] (X even) to uint8 [B, X / 2]."""
    np.rint(level_BX, out=level_BX)
    level_BX += np.float32(_ZERO)
    np.clip(level_BX, 0, 15, out=level_BX)
    pair_BW = level_BX.astype(np.uint8).view("<u2")
    packed_BW: NDArray[np.uint8] = (pair_BW | (pair_BW >> np.uint16(4))).astype(np.uint8)
    return packed_BW
