"""Encoded rows, the calibration to decode them, and the protocol of an encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "Float32s", "Planes", "Quantizer"]

Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Centre and scale of every channel of one site (or, stacked, of several)."""

    center_D: Float32s
    channel_D: Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Rows of one site as they are stored."""

    values_ND: NDArray[Any]
    """[..., `Quantizer.stored_width`], of `Quantizer.stored_dtype`."""
    scale_NG: NDArray[np.float16] | None
    """[..., `Quantizer.scale_groups`]: a scale for each row and group of channels; None if there are no scales."""


class Quantizer(Protocol):
    """Floats to planes and back. Implementations are stateless and reproducible to the bit."""

    @property
    def name(self) -> str:
        """Name in recipes and manifests."""
        ...

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Dtype of the Zarr array, little-endian."""
        ...

    @property
    def calibrated(self) -> bool:
        """Whether `encode` and `decode` need a `Calibration` and planes carry scales."""
        ...

    @property
    def scales(self) -> Literal["row", "group"] | None:
        """Whether a scale is for a row or a group, which names the Zarr array of scales; None for no scales."""
        ...

    @property
    def largest(self) -> float:
        """Largest magnitude of a value; `encode` clamps larger values."""
        ...

    def stored_width(self, width: int) -> int:
        """Return the elements of `stored_dtype` that a row of D features takes."""
        ...

    def scale_groups(self, width: int) -> int:
        """Return the scales G that a row of D features takes: 0 for floats, 1 for a scale of the whole row."""
        ...

    def encode(self, values_ND: Float32s, calibration: Calibration | None = None) -> Planes:
        """Encode float32 [N, D]."""
        ...

    def decode(self, planes: Planes, calibration: Calibration | None = None) -> Float32s:
        """Decode values [..., stored width] and scales [..., G] to float32 [..., D].

        D is the width of the calibration, which is broadcast over the leading axes.
        """
        ...
