"""Fetch fills in threads, one ahead of the consumer, into two buffers that are used in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from actstore.contracts.windows import RowBuffer, WindowReader
from actstore.stream.order import Fill

__all__ = ["FillFetcher"]


class FillFetcher:
    """Reads the windows of fills concurrently.

    Memory is two buffers of `fill_rows`, allocated when first needed: the one being consumed and the one being
    filled. An error in a thread is raised by the next `take`.

    Parameters
    ----------
    reader
        Where windows come from; called from several threads at once.
    allocate
        Makes a buffer for one fill.
    threads
        Windows read at the same time.
    """

    def __init__(self, reader: WindowReader, allocate: Callable[[], RowBuffer], *, threads: int) -> None:
        self._reader = reader
        self._allocate = allocate
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="actstore-fetch")
        self._buffers: list[RowBuffer] = []
        self._turn = 0
        self._pending: tuple[Fill, RowBuffer, list[Future[None]]] | None = None
        self.wait_s = 0.0
        """Seconds that `take` spent waiting for bytes."""

    def start(self, fill: Fill) -> None:
        """Begin to read a fill into the buffer that is not in use. One at a time."""
        if len(self._buffers) < 2:
            self._buffers.append(self._allocate())
        buffer = self._buffers[self._turn].part(0, fill.rows)
        self._turn = (self._turn + 1) % 2
        futures: list[Future[None]] = []
        row = 0
        for window in fill.windows:
            rows = window.stop - window.start
            futures.append(self._pool.submit(self._reader.read, window, buffer.part(row, row + rows)))
            row += rows
        self._pending = (fill, buffer, futures)

    def take(self) -> tuple[Fill, RowBuffer]:
        """Wait for the fill that was started, and hand it over.

        Raises
        ------
        StoreError
            Whatever stopped a read.
        """
        if self._pending is None:
            raise RuntimeError("take() without start()")
        fill, buffer, futures = self._pending
        started = time.perf_counter()
        try:
            for future in futures:
                future.result()
        finally:
            self.wait_s += time.perf_counter() - started
            self.cancel()
        return fill, buffer

    def cancel(self) -> None:
        """Drop the fill under way; returns when no thread writes into a buffer any more."""
        if self._pending is not None:
            _, _, futures = self._pending
            self._pending = None
            for future in futures:
                future.cancel()
            wait(futures)

    def close(self) -> None:
        """Stop the threads and release the buffers."""
        self.cancel()
        self._pool.shutdown()
        self._buffers.clear()
