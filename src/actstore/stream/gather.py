"""Rows of a buffer to one decoded batch: the protocol, and the reference with NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer
from actstore.store.read.decoding import RowDecoding, decode_rows

__all__ = ["Gather", "NumpyGather"]


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
        return decode_rows(self.decoding, buffer, take_B)

    def close(self) -> None:
        """Do nothing: there are no resources."""
