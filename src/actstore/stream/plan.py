"""Plan a stream: which rows, in which order and sizes, settled before anything is read."""

from __future__ import annotations

import operator
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from actstore.errors import StreamError
from actstore.store.read.decoding import RowDecoding
from actstore.store.read.manifest import Manifest
from actstore.store.read.selection import StoredColumns, common_width, match_sites
from actstore.stream.config import StreamConfig
from actstore.stream.order import TaskRuns
from actstore.stream.process import take_seat
from actstore.stream.request import (
    BESIDE_BYTES,
    StreamRequest,
    choose_tasks,
    fill_batches,
    window_rows,
)

__all__ = ["StreamPlan", "plan_stream"]

_UNIFORM_FILL_BATCHES: Final = 16
"""Batches whose rows are chosen ahead; they hold no memory."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamPlan:
    """A request resolved against one store."""

    manifest: Manifest
    uri: str
    """Name of the store in messages."""
    split: str | None
    sites: tuple[str, ...]
    """Names, in the order of axis S."""
    runs: TaskRuns
    """The tasks that are streamed, and their rows."""
    columns: StoredColumns
    decoding: RowDecoding
    config: StreamConfig
    device: str | None
    kernels: Literal["torch", "numpy"]
    reuse: bool
    """Whether a batch is overwritten by the third one after it."""

    @property
    def fill_rows(self) -> int:
        """Rows of a full fill."""
        return self.config.fill_batches * self.config.batch_rows

    @property
    def most_batch_rows(self) -> int:
        """Rows of the largest batch."""
        return min(self.config.batch_rows, self.runs.rows)

    @property
    def has_all_tasks(self) -> bool:
        """Whether every task of the split is streamed, or only the tasks committed so far."""
        frozen = self.manifest.frozen
        if any(one.frozen.part is not None and one.frozen.part.tasks is not None for one in self.manifest.members):
            return False
        return len(self.runs.task_T) == (frozen.tasks if self.split is None else frozen.splits[self.split].tasks)


def plan_stream(
    manifest: Manifest,
    request: StreamRequest,
    *,
    uri: str,
    threads: int,
    allow_incomplete: bool = False,
    computed: bool = False,
) -> StreamPlan:
    """Settle everything about a stream.

    Parameters
    ----------
    manifest
        The store.
    request
        Which rows, and how.
    uri
        Name of the store in messages.
    threads
        Windows to load at the same time.
    allow_incomplete
        Stream the available tasks.
    computed
        Whether rows are computed on demand: every task of the plan is then available.

    Raises
    ------
    SiteError, IncompleteStoreError, StreamError
        As `open_stream`.
    """
    if computed and request.order == "uniform":
        raise StreamError(
            f"{uri}: order='uniform' gathers from all stored rows, and the rows of this stream are computed on "
            "demand; use order='windows', or extract the store first"
        )
    chosen = match_sites(manifest.sites, request.sites, uri=uri)
    common_width(chosen)
    names, layout = tuple(site.name for site in chosen), manifest.frozen.layout
    tasks = choose_tasks(manifest, request.split, uri=uri, allow_incomplete=allow_incomplete, planned=computed)
    runs = TaskRuns.of(tasks, task_rows=layout.task_rows)
    columns = StoredColumns.of(manifest, names, uri=uri)
    return StreamPlan(
        manifest=manifest,
        uri=uri,
        split=request.split,
        sites=names,
        runs=runs,
        columns=columns,
        decoding=RowDecoding.of(manifest, columns),
        config=_configure(request, columns, runs, chunk_rows=layout.chunk_rows, threads=threads),
        device=request.device,
        kernels=request.kernels,
        reuse=request.reuse,
    )


def _configure(
    request: StreamRequest, columns: StoredColumns, runs: TaskRuns, *, chunk_rows: int, threads: int
) -> StreamConfig:
    """Return the order of a stream, with the sizes of fills and windows that the buffer allows."""
    batches, rows_of_window = _UNIFORM_FILL_BATCHES, chunk_rows
    if request.order == "windows":
        row_bytes = columns.layout.row_bytes + BESIDE_BYTES
        batches = fill_batches(request.buffer_bytes, row_bytes, request.batch_rows, rows=runs.rows)
        rows_of_window = window_rows(batches * request.batch_rows, chunk_rows)
    taken = take_seat(request.seat)
    if request.seed is None and taken.seat.world_size > 1:
        raise StreamError("seed=None: each of several processes would draw its own seed; give all of them the same")
    return StreamConfig(
        batch_rows=request.batch_rows,
        fill_batches=batches,
        window_rows=rows_of_window,
        order=request.order,
        seed=secrets.randbits(32) if request.seed is None else operator.index(request.seed),
        seat=taken.seat,
        seat_source=taken.source,
        drop_last=request.drop_last,
        threads=threads,
    )
