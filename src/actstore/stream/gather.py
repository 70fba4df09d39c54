"""Rows of a buffer to one decoded batch, with NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Planes, Quantizer
from actstore.contracts.windows import RowBuffer

__all__ = ["Gather", "NumpyGather", "RowDecoding"]


@dataclass(frozen=True, slots=True, eq=False)
class RowDecoding:
    """The facts needed to decode the rows of some sites of one width."""

    quantizer: Quantizer
    width: int
    """Features D."""
    site_columns: tuple[int, ...]
    """Index of the scales of each site among those of a row."""
    calibrations: tuple[Calibration | None, ...]
    """For each site; None for encodings without calibration."""

    @property
    def groups(self) -> int:
        """Scales of one row and site."""
        return self.quantizer.scale_groups(self.width)


class Gather(Protocol):
    """Takes rows out of a buffer and decodes them."""

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Any:  # noqa: ANN401 - an array, or a tensor of a device
        """Return rows `take_B` as float32 [B, S, D]; the memory may be used again by a later call."""
        ...

    def close(self) -> None:
        """Release its resources."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NumpyGather:
    """The reference: plain indexing and the quantizer's own decoding, into new memory each time."""

    decoding: RowDecoding

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return rows `take_B` as float32 [B, S, D]."""
        decoding = self.decoding
        batch_BSD = np.empty((len(take_B), len(buffer.values), decoding.width), dtype=np.float32)
        for slot, (values_RW, calibration) in enumerate(zip(buffer.values, decoding.calibrations, strict=True)):
            scale_BG = None
            if buffer.scale_RTG is not None:
                scale_BG = buffer.scale_RTG[take_B, decoding.site_columns[slot], : decoding.groups]
            planes = Planes(values_RW[take_B], scale_BG)
            batch_BSD[:, slot] = decoding.quantizer.decode(planes, calibration)
        return batch_BSD

    def close(self) -> None:
        """Do nothing: there are no resources."""
