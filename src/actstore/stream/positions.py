"""The positions of one stream: which cursors belong to it, and which rows follow them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from actstore.errors import CursorError, StreamError
from actstore.stream.config import StreamConfig
from actstore.stream.cursor import Cursor
from actstore.stream.order import TaskRuns
from actstore.stream.seats import Deal

__all__ = ["Positions"]


class Positions:
    """Deals the rows of an epoch to the seats, from its first row or from a cursor on.

    Parameters
    ----------
    recipe_sha256, sites, runs
        The rows: store, sites, tasks.
    config
        Order, batches and seat.
    """

    def __init__(self, recipe_sha256: str, sites: Sequence[str], runs: TaskRuns, config: StreamConfig) -> None:
        self._rows = runs.rows
        self._config = config
        # Everything that determines the rows of each batch, except the seats.
        parts = (
            recipe_sha256,
            tuple(sites),
            config.batch_rows,
            config.fill_batches,
            config.window_rows,
            config.order,
            config.seed,
            config.drop_last,
        )
        digest = hashlib.sha256(repr(parts).encode())
        for column in (runs.task_T, runs.rows_T):
            digest.update(column.astype("<i8").tobytes())
        self.fingerprint = digest.hexdigest()[:16]

    @property
    def first(self) -> Cursor:
        """The first batch of epoch 0."""
        return Cursor(0, 0, 0, self._config.seat.world_size, self.fingerprint)

    def deal_from(self, start: int, *, world_size: int | None = None) -> Deal:
        """Return the deal of the rows of an epoch from one row on; raises `StreamError` if there is none."""
        config = self._config
        return Deal(
            rows=max(self._rows - start, 0),
            batch_rows=config.batch_rows,
            fill_batches=config.fill_batches,
            world_size=config.seat.world_size if world_size is None else world_size,
            drop_last=config.drop_last,
        )

    def find(self, cursor: Cursor) -> tuple[Cursor, Deal]:
        """Return a cursor as this number of seats counts it, and the deal of the rows that follow.

        Raises
        ------
        CursorError
            As `Stream.seek`.
        """
        if not isinstance(cursor, Cursor):
            raise CursorError(f"{cursor!r:.80} is no cursor; give a `stream.cursor` that was kept")
        if cursor.stream != self.fingerprint:
            raise CursorError(
                f"the cursor belongs to stream {cursor.stream}, this is {self.fingerprint}: store, sites, split, "
                "order, seed, batch_rows, buffer_bytes and drop_last must be those with which it was taken"
            )
        try:
            deal = self.deal_from(cursor.start, world_size=cursor.world_size)
        except StreamError as error:
            raise CursorError(f"an epoch cannot continue at row {cursor.start}: {error}") from error
        if cursor.batch >= deal.batches:
            raise CursorError(f"the cursor is at batch {cursor.batch}, the epoch has {deal.batches}")
        if cursor.world_size != self._config.seat.world_size:
            cursor = self._redealt(cursor, deal)
        try:
            return cursor, self.deal_from(cursor.start)
        except StreamError as error:
            raise CursorError(f"rest of epoch {cursor.epoch}: {error}, or begin the next epoch") from error

    def _redealt(self, cursor: Cursor, deal: Deal) -> Cursor:
        """Return the cursor of another number of seats, at the end of a fill."""
        config = self._config
        world_size = config.seat.world_size
        if cursor.batch % config.fill_batches:
            raise CursorError(
                f"batch {cursor.batch} of {cursor.world_size} processes is in the middle of a fill; {world_size} "
                f"can continue at a multiple of {config.fill_batches} batches (stream.batches_per_fill)"
            )
        start = cursor.start + deal.begins_at(cursor.batch)
        if config.drop_last and self._rows - start < world_size * config.batch_rows:
            return replace(cursor, epoch=cursor.epoch + 1, start=0, batch=0, world_size=world_size)
        return replace(cursor, start=start, batch=0, world_size=world_size)
