"""Windows that a stream requests from a reader, and the buffers for their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowBuffer", "RowLayout", "RowOrigin", "RowWindow", "WindowReader"]


ORIGIN_BYTES: Final = 8 + 4 + 2
"""Sequence, position and token of a row."""


class RowWindow(NamedTuple):
    """Contiguous rows of one task."""

    task: int
    start: int
    """First row within the task."""
    stop: int
    """End, exclusive."""

    def check(self, rows: int) -> None:
        """Raise `IndexError` unless the window has rows, and lies within the `rows` of its task."""
        if not 0 <= self.start < self.stop <= rows:
            raise IndexError(f"rows {self.start} to {self.stop} of task {self.task}, which has {rows}")


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Layout of one encoded row of a stream."""

    sites: int
    """Sites S that the stream reads."""
    stored_width: int
    """Elements of `dtype` in a row of one site: D, or fewer if several values share one."""
    dtype: np.dtype[Any]
    scale_sites: int = 0
    """Sites whose scales are stored side by side; 0 for encodings without scales."""
    scale_groups: int = 0
    """Scales of one row and site."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row: values, scales and origin."""
        values = self.sites * self.stored_width * self.dtype.itemsize
        return values + 2 * self.scale_sites * self.scale_groups + ORIGIN_BYTES


class RowOrigin(NamedTuple):
    """The residues that rows come from."""

    sequence_R: NDArray[np.int64]
    """Row of the sequence in `sequences.parquet`."""
    position_R: NDArray[np.int32]
    """Place of the residue in its sequence, counted from 0."""
    token_R: NDArray[np.int16]
    """What the model read there: the tokenizer's number of the residue."""

    @classmethod
    def allocate(cls, rows: int) -> RowOrigin:
        """Return uninitialised memory."""
        return cls(np.empty(rows, np.int64), np.empty(rows, np.int32), np.empty(rows, np.int16))

    def at(self, rows: slice | NDArray[np.int64]) -> RowOrigin:
        """Return the origin of some of the rows."""
        return RowOrigin(self.sequence_R[rows], self.position_R[rows], self.token_R[rows])


@dataclass(frozen=True, slots=True, eq=False)
class RowBuffer:
    """Memory for encoded rows, site by site. R is the number of places; some may hold no row."""

    values: tuple[Any, ...]
    """For each site of the stream [R, stored width]: arrays, or tensors on a device."""
    scale_RTG: Any | None
    """float16 scales of all T sites that are stored together; a stream may read fewer sites."""
    origin: RowOrigin

    @classmethod
    def allocate(cls, rows: int, layout: RowLayout) -> RowBuffer:
        """Return uninitialised memory."""
        scales = (rows, layout.scale_sites, layout.scale_groups)
        return cls(
            tuple(np.empty((layout.sites, rows, layout.stored_width), dtype=layout.dtype)),
            np.empty(scales, dtype=np.float16) if layout.scale_sites else None,
            RowOrigin.allocate(rows),
        )

    def part(self, start: int, stop: int) -> RowBuffer:
        """Return a view of some of the places."""
        here = slice(start, stop)
        scale_RTG = None if self.scale_RTG is None else self.scale_RTG[here]
        return RowBuffer(tuple(values[here] for values in self.values), scale_RTG, self.origin.at(here))

    def check(self, window: RowWindow) -> None:
        """Raise `ValueError` unless the buffer has exactly the places that a window needs."""
        if len(self) != window.stop - window.start:
            raise ValueError(f"a buffer of {len(self)} rows for {window}")

    def __len__(self) -> int:
        return len(self.origin.sequence_R)


class WindowReader(Protocol):
    """Fills buffers with windows, from a store or from a running model."""

    @property
    def layout(self) -> RowLayout:
        """Layout of a row."""
        ...

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window. Called from several threads at once.

        Raises
        ------
        ValueError
            If the buffer is of another size.
        IndexError
            If the task has no such rows.
        ActstoreError
            If the rows cannot be read or computed.
        """
        ...

    def close(self) -> None:
        """Release its resources."""
        ...
