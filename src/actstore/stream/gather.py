"""Rows of a buffer to one decoded batch, with NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Float32s, Planes, Quantizer
from actstore.contracts.windows import RowBuffer

__all__ = ["Gather", "NumpyGather"]


class Gather(Protocol):
    """Takes rows out of a buffer and decodes them."""

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Float32s:
        """Return rows `take_B` as float32 [B, S, D]; the array may be reused by a later call."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NumpyGather:
    """The reference: plain indexing and the quantizer's own decoding, into a new array each time."""

    quantizer: Quantizer
    calibration: Calibration | None
    """Stacked over sites: [S, D]."""

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Float32s:
        """Return rows `take_B` as float32 [B, S, D]."""
        scale_BS = None if buffer.scale_NS is None else buffer.scale_NS[take_B]
        return self.quantizer.decode(Planes(buffer.values_NSD[take_B], scale_BS), self.calibration)
