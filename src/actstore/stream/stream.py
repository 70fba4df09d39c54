"""Batches of decoded rows in shuffled order, each row exactly once in an epoch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Quantizer
from actstore.contracts.windows import RowBuffer, WindowReader
from actstore.errors import CursorError, StreamError
from actstore.store.manifest import Manifest
from actstore.stream.cursor import Cursor
from actstore.stream.gather import Gather
from actstore.stream.mixing import expected_distinct
from actstore.stream.order import EpochOrder, Fill, WindowSet
from actstore.stream.prefetch import FillFetcher

__all__ = ["Batch", "Stream", "StreamReport", "StreamSource"]


class Batch(NamedTuple):
    """Rows of one training step."""

    values_BSD: NDArray[np.float32]
    """Decoded activations, [B, S, D]. The memory is used again three batches later, unless the stream copies."""
    row_B: NDArray[np.int64]
    """Global row: the index into the store's row arrays."""
    sequence_B: NDArray[np.int64]
    """Row of the sequence in `sequences.parquet`."""


class StreamReport(NamedTuple):
    """What a stream has delivered so far."""

    rows: int
    bytes: int
    """Encoded bytes, scales included."""
    seconds: float
    """From the first request for a batch to the latest, the consumer's own time included."""
    wait_s: float
    """Time in which the consumer waited for bytes."""
    rows_per_s: float
    wait_share: float
    distinct_sequences_per_batch: float | None
    """Mean over full batches; None if there was none."""
    distinct_sequences_uniform: float | None
    """What a uniform shuffle of all rows of the split gives on average."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamSource:
    """Everything a stream reads from; `open_stream` puts it together."""

    manifest: Manifest
    sites: tuple[str, ...]
    width: int
    reader: WindowReader
    windows: WindowSet
    quantizer: Quantizer
    gather: Gather
    rows_by_sequence: NDArray[np.int32]


class Stream:
    """Iterate for the batches of one epoch; iterate again for the next, in another order.

    A stream belongs to one consumer: `seek`, `close` and a second iteration end the iteration under way, which then
    raises `StreamError` when asked for another batch. Use a stream in a `with` statement, or call `close`.

    Parameters
    ----------
    source
        What to read.
    batch_rows
        Rows of a batch; the last of an epoch may be smaller.
    fill_rows
        Rows of one shuffle buffer, a multiple of `batch_rows`.
    seed
        Seeds the order; every epoch has its own.
    threads
        Windows read at the same time.
    copy
        Give every batch memory of its own.
    """

    def __init__(
        self,
        source: StreamSource,
        *,
        batch_rows: int,
        fill_rows: int,
        seed: int,
        threads: int,
        copy: bool = False,
    ) -> None:
        if fill_rows % batch_rows:
            raise ValueError(f"fill_rows ({fill_rows}) must be a multiple of batch_rows ({batch_rows})")
        self._source = source
        self._batch_rows = batch_rows
        self._fill_rows = fill_rows
        self._seed = seed
        self._copy = copy
        self._fingerprint = _fingerprint(source, batch_rows, fill_rows, seed)
        self._epoch = 0
        self._batch = 0
        self._closed = False
        self._iteration = 0
        """Number of the iteration that may go on."""
        self._fetcher = FillFetcher(source.reader, self._allocate, threads=threads)
        self._meter = _Meter()

    @property
    def manifest(self) -> Manifest:
        """The store's manifest."""
        return self._source.manifest

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in the order of axis S."""
        return self._source.sites

    @property
    def width(self) -> int:
        """Features D of every site."""
        return self._source.width

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self._source.windows.rows

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return self._batch_rows

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch, a smaller last one included."""
        return -(-self.rows // self._batch_rows)

    @property
    def cursor(self) -> Cursor:
        """The position of the next batch."""
        return Cursor(self._epoch, self._batch, self._fingerprint)

    def seek(self, cursor: Cursor) -> None:
        """Continue at a position; the next iteration yields exactly what would have followed.

        Raises
        ------
        CursorError
            If the cursor is of another store, selection, seed or size, or lies beyond the epoch.
        """
        if cursor.stream != self._fingerprint:
            raise CursorError(
                f"the cursor belongs to stream {cursor.stream}, this is {self._fingerprint}: store, sites, split, "
                "seed, batch_rows and buffer_bytes must be those with which it was taken"
            )
        if cursor.batch >= self.batches_per_epoch:
            raise CursorError(f"batch {cursor.batch} of an epoch of {self.batches_per_epoch}")
        self._iteration += 1
        self._epoch, self._batch = cursor.epoch, cursor.batch

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rest of the current epoch.

        Raises
        ------
        StreamError
            If the stream is closed, or this iteration was ended by another one or a `seek`.
        """
        if self._closed:
            raise StreamError("this stream is closed; open it again")
        self._iteration += 1
        iteration = self._iteration
        epoch = self._epoch
        windows = self._source.windows
        order = EpochOrder(windows, fill_rows=self._fill_rows, seed=self._seed, epoch=epoch)
        batches_per_fill = self._fill_rows // self._batch_rows
        first = self._batch // batches_per_fill
        self._fetcher.cancel()
        self._meter.begin()
        self._fetcher.start(order.fill(first))
        try:
            for index in range(first, order.fills):
                fill, buffer = self._fetcher.take()
                if index + 1 < order.fills:
                    self._fetcher.start(order.fill(index + 1))
                for batch in self._batches(fill, buffer, skip=self._batch - index * batches_per_fill):
                    self._advance(epoch)
                    self._meter.count(batch, self._batch_rows, buffer.nbytes // fill.rows)
                    yield batch
                    if iteration != self._iteration:
                        raise StreamError("this iteration was ended by a seek, a close or another iteration")
                    self._meter.tick()
        finally:
            if iteration == self._iteration:
                self._fetcher.cancel()

    def report(self) -> StreamReport:
        """Return what has been delivered so far, over all epochs."""
        meter = self._meter
        counts = self._source.rows_by_sequence
        return StreamReport(
            rows=meter.rows,
            bytes=meter.bytes,
            seconds=meter.seconds,
            wait_s=self._fetcher.wait_s,
            rows_per_s=meter.rows / meter.seconds if meter.seconds else 0.0,
            wait_share=self._fetcher.wait_s / meter.seconds if meter.seconds else 0.0,
            distinct_sequences_per_batch=meter.distinct / meter.full_batches if meter.full_batches else None,
            distinct_sequences_uniform=expected_distinct(counts, self._batch_rows) if meter.full_batches else None,
        )

    def close(self) -> None:
        """Stop the threads and release the buffers."""
        self._closed = True
        self._iteration += 1
        self._fetcher.close()
        self._source.reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _allocate(self) -> RowBuffer:
        source = self._source
        rows = min(self._fill_rows, self.rows)
        dtype, scaled = source.quantizer.stored_dtype, source.quantizer.calibrated
        return RowBuffer.allocate(rows, len(source.sites), source.width, dtype, scaled=scaled)

    def _batches(self, fill: Fill, buffer: RowBuffer, *, skip: int) -> Iterator[Batch]:
        for start in range(skip * self._batch_rows, fill.rows, self._batch_rows):
            take_B = fill.order_R[start : start + self._batch_rows]
            values_BSD = self._source.gather(buffer, take_B)
            if self._copy:
                values_BSD = values_BSD.copy()
            yield Batch(values_BSD, buffer.row_N[take_B], buffer.sequence_N[take_B])

    def _advance(self, epoch: int) -> None:
        self._batch += 1
        if self._batch == self.batches_per_epoch:
            self._epoch, self._batch = epoch + 1, 0


class _Meter:
    """Counts what leaves the stream."""

    def __init__(self) -> None:
        self.rows = self.bytes = self.full_batches = self.distinct = 0
        self.seconds = 0.0
        self._last = 0.0

    def begin(self) -> None:
        self._last = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now

    def count(self, batch: Batch, batch_rows: int, row_bytes: int) -> None:
        self.tick()
        rows = len(batch.row_B)
        self.rows += rows
        self.bytes += rows * row_bytes
        if rows == batch_rows:
            self.full_batches += 1
            self.distinct += len(np.unique(batch.sequence_B))


def _fingerprint(source: StreamSource, batch_rows: int, fill_rows: int, seed: int) -> str:
    windows = source.windows
    parts: tuple[Any, ...] = (source.manifest.recipe_sha256, source.sites, batch_rows, fill_rows, seed)
    digest = hashlib.sha256(repr(parts).encode())
    for column in (windows.task_W, windows.start_W, windows.stop_W):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()[:16]
