"""Places of the rows of a fill while they are mixed: in buffers, or in memory maps of the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowWindow, WindowReader
from actstore.store.read.mapped import MappedRows
from actstore.stream.order import Fill

__all__ = ["BufferedStage", "FillStage", "Job", "LoadedFill", "MappedStage", "places_of"]

Job = Callable[[], None]


class LoadedFill(NamedTuple):
    """A fill, and the places of its rows after all jobs are done."""

    fill: Fill
    buffer: RowBuffer
    take_R: NDArray[np.int64]
    """Place in the buffer of each row, in the order in which rows are delivered."""


class FillStage(Protocol):
    """Reserves memory for a fill and returns the jobs that load it."""

    @property
    def name(self) -> str:
        """Name in a report."""
        ...

    def begin(self, fill: Fill) -> tuple[LoadedFill, list[Job]]:
        """Return memory for a fill and the jobs that load it, for any threads in any order."""
        ...

    def release(self, loaded: LoadedFill) -> None:
        """Take back the memory of a fill whose rows are no longer needed."""
        ...

    def discard(self, loaded: LoadedFill) -> None:
        """Handle an abandoned fill; its jobs may still be running."""
        ...

    def close(self) -> None:
        """Release everything; no job is running, and no row is needed."""
        ...


def places_of(fill: Fill) -> list[tuple[RowWindow, int, int]]:
    """Return the windows of a fill, each with its first and last place when they are laid end to end.

    Windows of one task follow each other, so a reader that computes tasks computes each once for a fill.
    """
    stop_W = list(accumulate(window.stop - window.start for window in fill.windows))
    return sorted(zip(fill.windows, [0, *stop_W], stop_W, strict=False))


class BufferedStage:
    """Reads windows end to end into one of two buffers.

    Parameters
    ----------
    reader
        Reads the windows; called from several threads at once.
    rows
        Rows of the largest fill.
    """

    name = "buffered"

    def __init__(self, reader: WindowReader, *, rows: int) -> None:
        self._reader = reader
        self._rows = rows
        self._idle: list[RowBuffer] = []

    def begin(self, fill: Fill) -> tuple[LoadedFill, list[Job]]:
        """Return a buffer, and one job for each window."""
        buffer = self._idle.pop() if self._idle else RowBuffer.allocate(self._rows, self._reader.layout)
        jobs: list[Job] = [
            partial(self._reader.read, window, buffer.part(start, stop)) for window, start, stop in places_of(fill)
        ]
        return LoadedFill(fill, buffer, fill.place_R), jobs

    def release(self, loaded: LoadedFill) -> None:
        """Use the buffer again."""
        self._idle.append(loaded.buffer)

    def discard(self, loaded: LoadedFill) -> None:
        """Leave the buffer to threads that may still write to it."""

    def close(self) -> None:
        """Free the buffers and close the reader."""
        self._idle.clear()
        self._reader.close()


class MappedStage:
    """Checks windows in their memory maps; rows are copied only when they are gathered into a batch.

    Parameters
    ----------
    rows
        The store's rows.
    everywhere
        Windows of all rows: checked before a fill without windows is delivered.
    """

    name = "mapped"

    def __init__(self, rows: MappedRows, *, everywhere: Sequence[RowWindow] = ()) -> None:
        self._rows = rows
        self._unchecked = set(everywhere)
        self._stale: list[RowWindow] = []

    def begin(self, fill: Fill) -> tuple[LoadedFill, list[Job]]:
        """Return the places of the rows, and one job for each window."""
        loaded = LoadedFill(fill, self._rows.buffer, self._rows.slots(fill.row_R))
        if not fill.windows:
            return loaded, [partial(self._admit_for_good, window) for window in sorted(self._unchecked)]
        stale, self._stale = self._stale, []
        return loaded, [partial(self._forget, stale), *(partial(self._rows.admit, window) for window in fill.windows)]

    def release(self, loaded: LoadedFill) -> None:
        """Let the pages of the fill be released when the next fill is loaded."""
        self._stale += loaded.fill.windows

    def discard(self, loaded: LoadedFill) -> None:
        """Let the pages that were read so far be released, too."""
        self._stale += loaded.fill.windows

    def close(self) -> None:
        """Unmap the rows."""
        self._rows.close()

    def _admit_for_good(self, window: RowWindow) -> None:
        self._rows.admit(window)
        self._unchecked.discard(window)

    def _forget(self, windows: Sequence[RowWindow]) -> None:
        for window in windows:
            self._rows.release(window)
