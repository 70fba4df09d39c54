"""Batches of decoded rows in shuffled order, each row exactly once in an epoch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Never, Self

import numpy as np
from numpy.typing import NDArray

from actstore.errors import StreamError
from actstore.store.browse.all_proteins import FindsProteins
from actstore.store.read.manifest import Manifest
from actstore.stream.batch import Batch
from actstore.stream.config import StreamConfig
from actstore.stream.cursor import Cursor
from actstore.stream.gather import Gather
from actstore.stream.order import EpochOrder, TaskRuns, UniformOrder, WindowOrder
from actstore.stream.positions import Positions
from actstore.stream.prefetch import FillFetcher
from actstore.stream.process import TakenSeat
from actstore.stream.report import Meter, StreamReport
from actstore.stream.request import BESIDE_BYTES
from actstore.stream.seats import Deal, Seat
from actstore.stream.stages import FillStage, LoadedFill

__all__ = ["FETCHES_ITSELF", "Stream", "StreamSource"]

FETCHES_ITSELF: Final = "a stream fetches in its own threads; use a DataLoader with num_workers=0"
_ENDED: Final = "this iteration was ended by a seek, a close or another iteration"


@dataclass(frozen=True, slots=True, eq=False)
class StreamSource:
    """Everything that a stream reads from; created by `open_stream`."""

    uri: str
    """Name of the store in messages."""
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
    proteins: FindsProteins


class Stream:
    """Batches of shuffled rows, epoch after epoch.

    Each ``for`` begins an epoch, in its own order: the one after the epoch that was begun last, also if that was left
    half-way by a ``break`` or an error. `resume` yields the rest of an epoch that was left. After `seek`, the next
    ``for`` begins at the cursor.

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
        self._positions = Positions(source.manifest.recipe_sha256, source.sites, source.runs, config)
        self._deal = self._positions.deal_from(0)
        self._cursor = self._positions.first
        self._epoch = 0
        self._sought = False
        """Whether `seek` chose the cursor and no batch has been delivered since."""
        self._closed = False
        self._iteration = 0
        """Number of the iteration that may continue."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        """Held while rows are gathered, so that nothing is unmapped then."""
        self._fetcher = FillFetcher(source.stage, threads=config.threads)
        process = str(TakenSeat(config.seat, config.seat_source))
        self._meter = Meter(source.sequences_by_rows, config.batch_rows, process=process)

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
        return self._positions.deal_from(0).rows_dealt

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return self._config.batch_rows

    @property
    def seed(self) -> int:
        """Seeds the order of rows; drawn at random if none was given."""
        return self._config.seed

    @property
    def seat(self) -> Seat:
        """Which of how many processes gets the batches."""
        return self._config.seat

    @property
    def epoch(self) -> int:
        """The epoch that was begun last, counted from 0."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches of an epoch for this process, as `batches_per_epoch`."""
        return self.batches_per_epoch

    def __repr__(self) -> str:
        config, cursor = self._config, self._cursor
        state = "closed" if self._closed else f"next: batch {cursor.batch} of epoch {cursor.epoch}"
        return (
            f"<Stream {self._source.uri}: {len(self.sites)} sites x {self.width}, {self.rows:,} rows in {len(self):,} "
            f"batches of {config.batch_rows:,}, order={config.order!r}, seed={config.seed}, rank {config.seat.rank} of "
            f"{config.seat.world_size}; {state}>"
        )

    def __getitem__(self, _index: object) -> Never:
        """Refuse, for loaders that take a stream for a list of samples."""
        raise StreamError(
            "a stream is iterated, not indexed: write DataLoader(StreamDataset(stream), batch_size=None) for a loader "
            "of torch, and open_store(...)[rows] for single rows"
        )

    def __reduce__(self) -> Never:
        raise StreamError(FETCHES_ITSELF)

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch for one seat, the same for all seats; with the smaller ones at the end."""
        return self._positions.deal_from(0).batches

    @property
    def batches_per_fill(self) -> int:
        """Batches of a fill; another number of seats can continue at multiples of it."""
        return self._config.fill_batches

    @property
    def buffer_bytes_per_batch(self) -> int:
        """`buffer_bytes` for each batch of a fill: with as many batches, streams on other sites have the same order."""
        return 2 * self.batch_rows * (self._source.row_bytes + BESIDE_BYTES)

    @property
    def cursor(self) -> Cursor:
        """The position of the next batch."""
        return self._cursor

    def seek(self, cursor: Cursor) -> None:
        """Go to a position; the next iteration yields exactly the batches that would have followed.

        A cursor of another number of seats is accepted at the end of a fill, at a multiple of `batches_per_fill`. The
        remaining rows are then dealt to the current seats.

        Raises
        ------
        CursorError
            If the cursor belongs to another store, selection, order, seed or size, is beyond the epoch, or belongs to
            another number of seats and is in the middle of a fill.
        """
        cursor, deal = self._positions.find(cursor)
        with self._lock:
            self._iteration += 1
        self._cursor, self._deal, self._epoch, self._sought = cursor, deal, cursor.epoch, True

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch; after `seek`, those from the cursor to the end of its epoch.

        Raises
        ------
        StreamError
            If the stream is closed, was opened in another process, or this iteration was ended by another one or a
            `seek`.
        """
        return self._iterate(resume=False)

    def resume(self) -> Iterator[Batch]:
        """Yield the rest of an epoch that was left half-way; the next epoch if there is no rest. Raises as iteration.

        Examples
        --------
        ::

            for batch in stream:
                break
            for batch in stream.resume():  # from the second batch on
                ...
        """
        return self._iterate(resume=True)

    def _iterate(self, *, resume: bool) -> Iterator[Batch]:
        self._refuse_if_forked()
        with self._lock:
            if self._closed:
                raise StreamError("this stream is closed; open it again")
            self._iteration += 1
            iteration = self._iteration
        if not (resume or self._sought) and (self._cursor.batch or self._cursor.start):
            self._begin_next_epoch()
        self._epoch = self._cursor.epoch
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

    def ids(self, batch: Batch) -> list[str]:
        """Return the id of each row's sequence, as it is in the FASTA or Parquet file.

        Ids are read when they are asked for; the sequences of a batch may be anywhere in `sequences.parquet`.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            If the sequences are lost or damaged.
        """
        return self._source.proteins.ids(batch.sequence_B)

    def fill_tasks(self) -> Iterator[tuple[int, ...]]:
        """Yield the tasks of the rows of each fill of the next epoch, in the order in which this process reads them."""
        order = self._order(self._cursor.epoch)
        if not isinstance(order, WindowOrder):
            return
        deal = self._positions.deal_from(0)
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
        self._source.proteins.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
                origin = loaded.buffer.origin.at(take_B)
            row_B = loaded.fill.row_R[here]
            sequence_B = self._source.manifest.frozen.common_sequences(origin.sequence_R, row_B)
            yield Batch(values_BSD, row_B, sequence_B, origin.position_R, origin.token_R)
            start += rows

    def _refuse_if_forked(self) -> None:
        if os.getpid() != self._process:
            raise StreamError("this stream was opened in another process, whose threads it needs; open it again here")

    def _advance(self, deal: Deal) -> None:
        self._sought = False
        cursor = replace(self._cursor, batch=self._cursor.batch + 1)
        if cursor.batch == deal.batches:
            self._begin_next_epoch()
        else:
            self._cursor = cursor

    def _begin_next_epoch(self) -> None:
        self._cursor = replace(self._cursor, epoch=self._cursor.epoch + 1, start=0, batch=0)
        self._deal = self._positions.deal_from(0)
