"""The stream of one of several processes, kept in step with those of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import torch

from actstore import Batch, Cursor, errors
from trainers.dictionaries.ranks import LostRank, all_max
from trainers.fit.source import BatchSource
from trainers.workflows.ranks import Ranks
from trainers.workflows.stopping import StopSignals

__all__ = ["ClosableSource", "SeatedSource", "go_to", "stop_together"]


class ClosableSource(BatchSource, Protocol):
    """A source of batches that can be closed from another thread."""

    def close(self) -> None:
        """End an iteration that waits."""
        ...


class SeatedSource:
    """Batches of which this process has its rows; each comes when every process has its own.

    If a process is told to stop, or cannot read its rows, none of them gets the batch: all stop after the same step.

    Parameters
    ----------
    stream
        Opened with the seat of this process.
    device
        Where messages between processes are held.
    """

    def __init__(self, stream: ClosableSource, ranks: Ranks, signals: StopSignals, device: torch.device) -> None:
        self._stream, self._ranks, self._signals, self._device = stream, ranks, signals, device

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the S sites of a batch."""
        return self._stream.sites

    @property
    def width(self) -> int:
        """Features D of each site."""
        return self._stream.width

    @property
    def rows(self) -> int:
        """Rows of an epoch, over all processes."""
        return self._stream.rows

    @property
    def batch_rows(self) -> int:
        """Rows of a batch, over all processes."""
        return self._stream.batch_rows * self._ranks.size

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch, the same for every process."""
        return self._stream.batches_per_epoch

    @property
    def cursor(self) -> Cursor:
        """Position of the next batch, the same for every process."""
        return self._stream.cursor

    def seek(self, cursor: Cursor) -> None:
        """Go to a position."""
        self._stream.seek(cursor)

    def close(self) -> None:
        """End an iteration that waits."""
        self._stream.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch.

        Raises
        ------
        StreamError, StoreError
            If this process cannot read its rows, or one of them was told to stop.
        LostRank
            If another process cannot read its rows, or is gone.
        """
        batches = iter(self._stream)
        while True:
            batch: Batch | None = None
            failure: errors.ActstoreError | None = None
            try:
                batch = next(batches, None)
            except (errors.StreamError, errors.StoreError) as error:
                failure = error
            self._agree(failure)
            if batch is None:
                return
            yield batch

    def _agree(self, failure: errors.ActstoreError | None) -> None:
        told = self._signals.number or 0
        number, failed = all_max(torch.tensor([told, failure is not None], device=self._device)).tolist()
        if number:
            self._signals.request(number)
            raise errors.StreamError("the run was told to stop")
        if failure is not None:
            raise failure
        if failed:
            raise LostRank("another process of this run cannot read its rows; its own message says why")


def stop_together(signals: StopSignals, device: torch.device) -> None:
    """After the last step, have every process take notice of a signal that one of them received."""
    if number := int(all_max(torch.tensor(signals.number or 0, device=device))):
        signals.request(number)


def go_to(source: BatchSource, cursor: Cursor, *, rows: int) -> None:
    """Go to the position of a checkpoint.

    With as many processes as then, that is exact. Another number of processes goes on behind as many rows of the epoch
    as were trained on. If they were not all the rows of whole buffers, some of that epoch come twice, and as many not
    at all.

    Parameters
    ----------
    rows
        Rows trained on, over all epochs.

    Raises
    ------
    CursorError
        If the cursor belongs to other rows.
    """
    here = source.cursor
    if cursor.world_size == here.world_size:
        source.seek(cursor)
        return
    epoch, start = divmod(rows, source.rows)
    if source.rows - start < here.world_size:  # too few for a batch of every process
        epoch, start = epoch + 1, 0
    source.seek(replace(here, epoch=epoch, start=start, batch=0))
