"""Any rows of a store, in any order: from memory maps where that is possible, else from chunks that were read last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.read_ahead import map_ahead
from actstore.contracts.planes import Float32s
from actstore.contracts.recent import Recent
from actstore.contracts.windows import RowBuffer, RowOrigin, RowWindow
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.read.decoding import RowDecoding, decode_rows
from actstore.store.read.manifest import Manifest
from actstore.store.read.mapped import MappedRows, mapping_obstacle
from actstore.store.read.merged import Source
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns

__all__ = ["DecodedRows", "RandomRows"]

_CHUNKS_BYTES: Final = 256 << 20
"""Chunks in memory, where rows are not mapped."""


class DecodedRows(NamedTuple):
    """Rows of some sites."""

    values_NSD: Float32s
    """Decoded activations, float32 [N, S, D]."""
    origin: RowOrigin


class RandomRows:
    """Reads and decodes rows of some sites; every chunk is compared with its checksum before its first use.

    Parameters
    ----------
    objects, manifest
        From `locate_store`.
    sites
        Names of sites of one width.

    Raises
    ------
    SiteError
        If the store has no such site, or the sites differ in width.
    """

    def __init__(self, objects: Source, manifest: Manifest, sites: tuple[str, ...]) -> None:
        columns = StoredColumns.of(manifest, sites, uri=objects.uri)
        self._uri, self._frozen = objects.uri, manifest.frozen
        self._task_rows, self._chunk_rows = manifest.frozen.layout.task_rows, manifest.frozen.layout.chunk_rows
        self._rows_T = np.array(
            [0 if commit is None else manifest.frozen.rows_of(task) for task, commit in enumerate(manifest.commits)]
        )
        self._decoding = RowDecoding.of(manifest, columns)
        self._mapped: MappedRows | None = None
        done = np.flatnonzero(self._rows_T).tolist()
        if done and mapping_obstacle(objects, manifest, columns, len(done)) is None:
            self._mapped = MappedRows(objects, manifest, columns, done)
        self._admitted_TC = np.zeros((len(self._rows_T), self._task_rows // self._chunk_rows), dtype=bool)
        self._reader = StoreReader(objects, manifest, columns)
        self._idle = threading.Condition()
        self._reading = 0
        self._closed = False
        chunk_bytes = self._chunk_rows * columns.layout.row_bytes
        self._chunks: Recent[tuple[int, int], RowBuffer] = Recent(max(_CHUNKS_BYTES // chunk_bytes, 1))

    def read(self, row_N: NDArray[np.int64]) -> DecodedRows:
        """Return rows by their numbers, in the order given.

        Raises
        ------
        UsageError
            If a number is not that of a row, or the store was closed.
        MissingObjectError, CorruptObjectError
            Naming object and task, or a row that is not one of a residue, or not finite.
        """
        with self._in_use(), np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused
            found = self._read(row_N)
        sequence_N = self._frozen.common_sequences(found.origin.sequence_R, row_N)
        found = DecodedRows(found.values_NSD, found.origin._replace(sequence_R=sequence_N))
        proteins = self._frozen.corpus.sequences
        for problem, sound_N in (
            (
                f"names no sequence of {proteins:,}",
                (found.origin.sequence_R >= 0) & (found.origin.sequence_R < proteins),
            ),
            ("has a position below 0", found.origin.position_R >= 0),
            ("holds NaN or Inf", np.isfinite(found.values_NSD).all(axis=(1, 2))),
        ):
            if not sound_N.all():
                raise CorruptObjectError(
                    f"{self._uri}: row {row_N[~sound_N][0]:,} {problem}; find all damage with 'actstore verify'"
                )
        return found

    def close(self) -> None:
        """Unmap and forget everything, as soon as no thread reads."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: not self._reading)
        if self._mapped is not None:
            self._mapped.close()
        self._reader.close()
        self._chunks.clear()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keep memory maps and files until a read has ended."""
        with self._idle:
            if self._closed:
                raise UsageError(f"{self._uri}: the store was closed; open it again, or ask it for the site again")
            self._reading += 1
        try:
            yield
        finally:
            with self._idle:
                self._reading -= 1
                self._idle.notify_all()

    def _read(self, row_N: NDArray[np.int64]) -> DecodedRows:
        task_N, place_N = self._places(row_N)
        chunk_N = place_N // self._chunk_rows
        if self._mapped is not None:
            fresh = ~self._admitted_TC[task_N, chunk_N]
            for task, chunk in _distinct(task_N[fresh], chunk_N[fresh]):
                self._mapped.admit(self._window(task, chunk))
                self._admitted_TC[task, chunk] = True
            slot_N = self._mapped.slots(row_N)
            buffer = self._mapped.buffer
            return DecodedRows(decode_rows(self._decoding, buffer, slot_N), buffer.origin.at(slot_N))
        shape = (len(row_N), len(self._decoding.site_columns), self._decoding.width)
        found = DecodedRows(np.empty(shape, dtype=np.float32), RowOrigin.allocate(len(row_N)))
        keys = _distinct(task_N, chunk_N)
        for (task, chunk), buffer in zip(keys, map_ahead(self._chunk, keys), strict=True):
            here = np.flatnonzero((task_N == task) & (chunk_N == chunk))
            take_B = place_N[here] - chunk * self._chunk_rows
            found.values_NSD[here] = decode_rows(self._decoding, buffer, take_B)
            part = buffer.origin.at(take_B)
            found.origin.sequence_R[here] = part.sequence_R
            found.origin.position_R[here] = part.position_R
            found.origin.token_R[here] = part.token_R
        return found

    def _places(self, row_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return task and place in it of each row; refuse numbers of no row."""
        outside = (row_N < 0) | (row_N >= self._frozen.array_rows)
        task_N, place_N = np.divmod(np.where(outside, 0, row_N), self._task_rows)
        missing = outside | (place_N >= self._rows_T[task_N])
        if missing.any():
            raise UsageError(f"{self._uri}: no row {row_N[missing][0]:,}{self._why(int(row_N[missing][0]))}")
        return task_N, place_N

    def _why(self, row: int) -> str:
        if not 0 <= row < self._frozen.array_rows:
            return f"; rows are numbered from 0 to {self._frozen.array_rows - 1:,}"
        task, place = divmod(row, self._task_rows)
        if place >= self._frozen.rows_of(task):
            return f": split {self._frozen.split_of(task)} ends before it, and numbers up to the next task are not used"
        if task not in self._frozen.tasks_here:
            return f": task {task} is not in this part of the store"
        return f" yet: task {task} is not extracted; continue with {self._frozen.how_to_finish}"

    def _window(self, task: int, chunk: int) -> RowWindow:
        start = chunk * self._chunk_rows
        return RowWindow(task, start, min(start + self._chunk_rows, int(self._rows_T[task])))

    def _chunk(self, key: tuple[int, int]) -> RowBuffer:
        """Return a whole chunk."""

        def load() -> RowBuffer:
            window = self._window(*key)
            buffer = RowBuffer.allocate(window.stop - window.start, self._reader.layout)
            self._reader.read(window, buffer)
            return buffer

        return self._chunks.get(key, load)


def _distinct(task_N: NDArray[np.int64], chunk_N: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the pairs of task and chunk that occur, in order."""
    return sorted(set(zip(task_N.tolist(), chunk_N.tolist(), strict=True)))
