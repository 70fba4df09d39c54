"""What a stream asks a reader for, and where the answer goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowBuffer", "RowWindow", "WindowReader"]


class RowWindow(NamedTuple):
    """Contiguous rows of one task."""

    task: int
    start: int
    """First row within the task."""
    stop: int
    """End, exclusive."""


@dataclass(frozen=True, slots=True, eq=False)
class RowBuffer:
    """Preallocated memory for N rows of S sites, still encoded."""

    values_NSD: NDArray[Any]
    scale_NS: NDArray[np.float16] | None
    row_N: NDArray[np.int64]
    """Global row: ``task * task_rows + row within the task``."""
    sequence_N: NDArray[np.int64]

    @classmethod
    def allocate(cls, rows: int, sites: int, width: int, dtype: np.dtype[Any], *, scaled: bool) -> RowBuffer:
        """Return uninitialised memory."""
        return cls(
            np.empty((rows, sites, width), dtype=dtype),
            np.empty((rows, sites), dtype=np.float16) if scaled else None,
            np.empty(rows, dtype=np.int64),
            np.empty(rows, dtype=np.int64),
        )

    def part(self, start: int, stop: int) -> RowBuffer:
        """Return a view of some of the rows."""
        here = slice(start, stop)
        scale_NS = None if self.scale_NS is None else self.scale_NS[here]
        return RowBuffer(self.values_NSD[here], scale_NS, self.row_N[here], self.sequence_N[here])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        scales = 0 if self.scale_NS is None else self.scale_NS.nbytes
        return self.values_NSD.nbytes + scales + self.row_N.nbytes + self.sequence_N.nbytes


class WindowReader(Protocol):
    """Fills buffers with windows: from a store, or from a model that runs at that moment."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer of exactly the window's rows. Called from several threads at once."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...
