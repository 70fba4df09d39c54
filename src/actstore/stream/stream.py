"""Batches of decoded rows in shuffled order, each row exactly once in an epoch."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from actstore.errors import CursorError, StreamError
from actstore.store.read.manifest import Manifest
from actstore.stream.cursor import Cursor
from actstore.stream.gather import Gather
from actstore.stream.order import EpochOrder, TaskRuns, UniformOrder, WindowOrder
from actstore.stream.prefetch import FillFetcher
from actstore.stream.report import Meter, StreamReport
from actstore.stream.seats import ONLY, Deal, Seat
from actstore.stream.stages import FillStage, LoadedFill

__all__ = ["Batch", "OrderName", "Stream", "StreamConfig", "StreamSource"]

OrderName = Literal["windows", "uniform"]
_ENDED: Final = "this iteration was ended by a seek, a close or another iteration"


class Batch(NamedTuple):
    """Rows of one training step."""

    values_BSD: Any
    """Decoded activations, float32 [B, S, D]: an array, or a tensor if the stream has a device. The memory is used
    again three batches later, unless the stream copies."""
    row_B: NDArray[np.int64]
    """Global row: the index into the store's row arrays."""
    sequence_B: NDArray[np.int64]
    """Row of the sequence in `sequences.parquet`."""

    @property
    def values_BD(self) -> Any:  # noqa: ANN401 - as `values_BSD`
        """The activations of a stream of one site, [B, D]: a view.

        Raises
        ------
        StreamError
            If there are several sites.
        """
        if self.values_BSD.shape[1] != 1:
            raise StreamError(f"this stream has {self.values_BSD.shape[1]} sites; take one of them from values_BSD")
        return self.values_BSD[:, 0]


@dataclass(frozen=True, slots=True, eq=False)
class StreamSource:
    """Everything that a stream reads from; created by `open_stream`."""

    manifest: Manifest
    sites: tuple[str, ...]
    width: int
    row_bytes: int
    """Encoded bytes of one row of all sites."""
    runs: TaskRuns
    stage: FillStage
    gather: Gather
    sequences_by_rows: Callable[[], NDArray[np.int64] | None]
    """Counts how many sequences have 0, 1, 2, ... of the rows; None if that is not known."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Order of rows, and the seat that gets them."""

    batch_rows: int
    """Rows of a batch."""
    fill_batches: int
    """Batches of one fill, which is mixed in memory."""
    window_rows: int
    """Rows of a window."""
    order: OrderName = "windows"
    seed: int = 0
    seat: Seat = ONLY
    drop_last: bool = False
    """Leave out the rows that do not make a full batch for every seat."""
    threads: int = 4
    """Windows loaded at the same time."""


class Stream:
    """Iterate for the batches of one epoch; iterate again for the next, in another order.

    A stream belongs to one consumer: `seek`, `close` and a second iteration end the current iteration, which then
    raises `StreamError` at its next batch. `close` may be called from any thread. Use a stream in a
    `with` statement, or call `close`.

    Parameters
    ----------
    source
        What to read.
    config
        Order, batches and seat.

    Raises
    ------
    StreamError
        If the rows cannot be dealt to this number of seats.
    """

    def __init__(self, source: StreamSource, config: StreamConfig) -> None:
        self._source = source
        self._config = config
        self._deal = self._deal_from(0)
        self._fingerprint = _fingerprint(source, config)
        self._cursor = Cursor(0, 0, 0, config.seat.world_size, self._fingerprint)
        self._closed = False
        self._iteration = 0
        """Number of the iteration that may continue."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        """Held while rows are gathered, so that nothing is unmapped then."""
        self._fetcher = FillFetcher(source.stage, threads=config.threads)
        self._meter = Meter(source.sequences_by_rows, config.batch_rows)

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
        """Rows of an epoch, over all seats."""
        return self._deal_from(0).rows_dealt

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return self._config.batch_rows

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch for one seat, the same for all seats; with the smaller ones at the end."""
        return self._deal_from(0).batches

    @property
    def batches_per_fill(self) -> int:
        """Batches of a fill; another number of seats can continue at multiples of it."""
        return self._config.fill_batches

    @property
    def cursor(self) -> Cursor:
        """The position of the next batch."""
        return self._cursor

    def seek(self, cursor: Cursor) -> None:
        """Continue at a position; the next iteration yields exactly the batches that would have followed.

        A cursor of another number of seats is accepted at the end of a fill, at a multiple of `batches_per_fill`. The
        remaining rows are then dealt to the current seats.

        Raises
        ------
        CursorError
            If the cursor belongs to another store, selection, order, seed or size, is beyond the epoch, or belongs to
            another number of seats and is in the middle of a fill.
        """
        if cursor.stream != self._fingerprint:
            raise CursorError(
                f"the cursor belongs to stream {cursor.stream}, this is {self._fingerprint}: store, sites, split, "
                "order, seed, batch_rows, buffer_bytes and drop_last must be those with which it was taken"
            )
        try:
            deal = self._deal_from(cursor.start, world_size=cursor.world_size)
        except StreamError as error:
            raise CursorError(f"an epoch cannot continue at row {cursor.start}: {error}") from error
        if cursor.batch >= deal.batches:
            raise CursorError(f"the cursor is at batch {cursor.batch}, the epoch has {deal.batches}")
        world_size = self._config.seat.world_size
        if cursor.world_size != world_size:
            fill_batches = self._config.fill_batches
            if cursor.batch % fill_batches:
                raise CursorError(
                    f"batch {cursor.batch} of {cursor.world_size} processes is in the middle of a fill; {world_size} "
                    f"can continue at a multiple of {fill_batches} batches (stream.batches_per_fill)"
                )
            start = cursor.start + deal.begins_at(cursor.batch)
            cursor = replace(cursor, start=start, batch=0, world_size=world_size)
            if self._config.drop_last and self._source.runs.rows - start < world_size * self.batch_rows:
                cursor = replace(cursor, epoch=cursor.epoch + 1, start=0)
        try:
            deal = self._deal_from(cursor.start)
        except StreamError as error:
            raise CursorError(f"rest of epoch {cursor.epoch}: {error}, or begin the next epoch") from error
        with self._lock:
            self._iteration += 1
        self._cursor, self._deal = cursor, deal

    def __iter__(self) -> Iterator[Batch]:
        """Yield the rest of the current epoch.

        Raises
        ------
        StreamError
            If the stream is closed, was opened in another process, or this iteration was ended by another one or a
            `seek`.
        """
        self._refuse_if_forked()
        with self._lock:
            if self._closed:
                raise StreamError("this stream is closed; open it again")
            self._iteration += 1
            iteration = self._iteration
        cursor, deal, rank = self._cursor, self._deal, self._config.seat.rank
        order = self._order(cursor.epoch)
        first, skip = divmod(cursor.batch, self._config.fill_batches)
        self._fetcher.cancel()
        self._meter.begin()
        try:
            self._load(order, deal, cursor.start, first)
            for index in range(first, deal.rounds):
                loaded = self._fetcher.take()
                if index + 1 < deal.rounds:
                    self._load(order, deal, cursor.start, index + 1)
                for batch in self._batches(loaded, deal.share(index, rank).batches, skip, iteration):
                    self._advance(deal)
                    self._meter.delivered(batch.row_B, batch.sequence_B, row_bytes=self._source.row_bytes)
                    yield batch
                    self._meter.asked()
                skip = 0
        finally:
            if iteration == self._iteration:
                self._fetcher.cancel()

    def fill_tasks(self) -> Iterator[tuple[int, ...]]:
        """Yield the tasks of the rows of each fill of the next epoch, in the order in which this process reads them."""
        order = self._order(self._cursor.epoch)
        if not isinstance(order, WindowOrder):
            return
        deal = self._deal_from(0)
        for index in range(deal.rounds):
            share = deal.share(index, self._config.seat.rank)
            yield tuple(sorted({window.task for window in order.windows(share.start, share.stop)}))

    def report(self) -> StreamReport:
        """Return the totals so far, over all epochs.

        The first report after a batch counts the sequences of the store; it reads two of their columns.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            If the sequences are lost or damaged.
        """
        return self._meter.report(path=self._source.stage.name, wait_s=self._fetcher.wait_s)

    def close(self) -> None:
        """Stop the threads and release the memory; an iteration that waits for bytes ends with `StreamError`."""
        if os.getpid() != self._process:
            return  # the threads belong to the parent process
        with self._lock:
            self._closed = True
            self._iteration += 1
            self._source.gather.close()
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _deal_from(self, start: int, *, world_size: int | None = None) -> Deal:
        """Return the deal of the rows of an epoch from one row on."""
        config = self._config
        return Deal(
            rows=max(self._source.runs.rows - start, 0),
            batch_rows=config.batch_rows,
            fill_batches=config.fill_batches,
            world_size=config.seat.world_size if world_size is None else world_size,
            drop_last=config.drop_last,
        )

    def _order(self, epoch: int) -> EpochOrder:
        config, runs = self._config, self._source.runs
        if config.order == "uniform":
            return UniformOrder(runs, seed=config.seed, epoch=epoch)
        return WindowOrder(runs, window_rows=config.window_rows, seed=config.seed, epoch=epoch)

    def _load(self, order: EpochOrder, deal: Deal, start: int, index: int) -> None:
        """Start to load a fill; a thread also computes its rows."""
        share = deal.share(index, self._config.seat.rank)
        self._fetcher.start(lambda: order.fill(start + share.start, start + share.stop))

    def _batches(self, loaded: LoadedFill, sizes: tuple[int, ...], skip: int, iteration: int) -> Iterator[Batch]:
        start = sum(sizes[:skip])
        for rows in sizes[skip:]:
            here = slice(start, start + rows)
            take_B = loaded.take_R[here]
            self._refuse_if_forked()
            with self._lock:
                if iteration != self._iteration:
                    raise StreamError(_ENDED)
                values_BSD = self._source.gather(loaded.buffer, take_B)
                sequence_B = loaded.buffer.sequence_R[take_B]
            yield Batch(values_BSD, loaded.fill.row_R[here], sequence_B)
            start += rows

    def _refuse_if_forked(self) -> None:
        if os.getpid() != self._process:
            raise StreamError("this stream was opened in another process, whose threads it needs; open it again here")

    def _advance(self, deal: Deal) -> None:
        cursor = replace(self._cursor, batch=self._cursor.batch + 1)
        if cursor.batch == deal.batches:
            cursor = replace(cursor, epoch=cursor.epoch + 1, start=0, batch=0)
            self._deal = self._deal_from(0)
        self._cursor = cursor


def _fingerprint(source: StreamSource, config: StreamConfig) -> str:
    """Return a digest of everything that determines the rows of each batch, without the seats."""
    parts: tuple[Any, ...] = (
        source.manifest.recipe_sha256,
        source.sites,
        config.batch_rows,
        config.fill_batches,
        config.window_rows,
        config.order,
        config.seed,
        config.drop_last,
    )
    digest = hashlib.sha256(repr(parts).encode())
    for column in (source.runs.task_T, source.runs.rows_T):
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()[:16]
