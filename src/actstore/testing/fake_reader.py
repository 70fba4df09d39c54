"""A `WindowReader` without a store: every value a pure function of task, row, site and feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, UInt64s, derive_key, draws, hash_text
from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow

__all__ = ["FakeReader"]

_ROWS_PER_SEQUENCE: Final = 16
_TOKENS: Final = 20


class FakeReader:
    """Rows as a store of the same shape would give them: int8 with scales, or float16 without.

    Parameters
    ----------
    tasks
        Rows of each task.
    task_rows
        Rows of a full task; they decide the row numbers.
    sites
        Names of the sites.
    width
        Features D.
    scaled
        Whether planes are int8 with row scales, or float16.

    Examples
    --------
    >>> reader = FakeReader({0: 8, 1: 5}, task_rows=8, sites=["embed"], width=4)
    >>> buffer = RowBuffer.allocate(2, reader.layout)
    >>> reader.read(RowWindow(1, 3, 5), buffer)
    >>> [values.shape for values in buffer.values], buffer.origin.sequence_R.tolist()
    ([(2, 4)], [0, 0])
    """

    def __init__(
        self, tasks: Mapping[int, int], *, task_rows: int, sites: Sequence[str], width: int, scaled: bool = True
    ) -> None:
        self.tasks = dict(tasks)
        self.task_rows = task_rows
        self.sites = tuple(sites)
        self.width = width
        self.scaled = scaled
        self.closed = False

    @property
    def layout(self) -> RowLayout:
        """What a row consists of."""
        scales = (len(self.sites), 1) if self.scaled else (0, 0)
        return RowLayout(len(self.sites), self.width, self.dtype, *scales)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return np.dtype(np.int8 if self.scaled else np.float16)

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window."""
        into.check(window)
        window.check(self.tasks[window.task])
        row_N = window.task * self.task_rows + np.arange(window.start, window.stop)
        into.origin.sequence_R[:], into.origin.position_R[:] = np.divmod(row_N, _ROWS_PER_SEQUENCE)
        into.origin.token_R[:] = row_N % _TOKENS
        for slot, site in enumerate(self.sites):
            into.values[slot][:] = self._values(site, row_N)
            if into.scale_RTG is not None:
                into.scale_RTG[:, slot, 0] = 1 + self._bytes(site, row_N, counters=1)[:, 0] / 256

    def close(self) -> None:
        """Record that it was closed."""
        self.closed = True

    def _values(self, site: str, row_N: NDArray[np.int64]) -> NDArray[Any]:
        bytes_ND = self._bytes(site, row_N, counters=self.width + 1)[:, 1:]
        return bytes_ND if self.scaled else (bytes_ND / 64).astype(np.float16)

    def _bytes(self, site: str, row_N: NDArray[np.int64], *, counters: int) -> NDArray[np.int8]:
        """Return int8 [N, counters] in -127 .. 127."""
        key = derive_key(0, Purpose.TRAINING, hash_text(site))
        counter_NC: UInt64s = (row_N[:, None] * (1 << 20) + np.arange(counters)).astype(np.uint64)
        return ((draws(key, counter_NC) % np.uint64(255)).astype(np.int64) - 127).astype(np.int8)
