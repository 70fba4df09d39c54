"""Reads windows from a store; every byte is checked before it is delivered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.errors import CorruptObjectError
from actstore.store.format.chunk import decode_chunk
from actstore.store.format.layout import ArraySpec
from actstore.store.format.shard import index_bytes, parse_index
from actstore.store.read.checks import ChunkChecks
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source, owner_of
from actstore.store.read.selection import StoredColumns

__all__ = ["ArrayReader", "StoreReader"]

_INDICES_IN_MEMORY: Final = 8192
"""1 KB each at 64 chunks."""
_KEPT_BYTES: Final = 64 << 20
"""Limit for sequences and scales of a reader: 8 M rows of one site. A window of them is 2 KB, but a request costs a
client and an RGW 1 ms each (benchmarks/results/s3_stream.json), as much as a request for half a megabyte."""


class ArrayReader:
    """Reads rows of row arrays. Safe to share by threads.

    Each chunk is compared with the checksum in its task's commit, and each commit with its digest in the manifest,
    so delivered rows are the rows that the manifest describes.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    arrays
        The row arrays to read; None for all.
    kept
        Paths of arrays that are read a task at a time and kept in memory.
    late
        Read tasks that were committed after the manifest was made, too.
    """

    def __init__(
        self,
        objects: Source,
        manifest: Manifest,
        arrays: Sequence[ArraySpec] | None = None,
        *,
        kept: Collection[str] = (),
        late: bool = False,
    ) -> None:
        self._objects, self._manifest = objects, manifest
        if arrays is None:
            arrays = manifest.frozen.row_arrays
        self._arrays = tuple(arrays)
        self._place = {spec.path: place for place, spec in enumerate(self._arrays)}
        self._checks = ChunkChecks(objects, manifest, self._arrays, late=late)
        self._indices: OrderedDict[tuple[int, int], NDArray[np.int64]] = OrderedDict()
        self._kept: dict[str, dict[int, NDArray[Any]]] = {path: {} for path in kept}
        """Rows by task."""
        self._lock = threading.Lock()

    def rows(self, array: str, window: RowWindow) -> NDArray[Any]:
        """Return the rows of a window of one array, as stored.

        Raises
        ------
        IndexError
            If the task has no such rows.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        spec = self._arrays[self._place[array]]
        into = np.empty((max(window.stop - window.start, 0), *spec.shape[1:]), dtype=spec.dtype)
        self.read(array, window, into)
        return into

    def read(self, array: str, window: RowWindow, into: NDArray[Any]) -> None:
        """Read the rows of a window of one array into contiguous memory of its shape and dtype; raises as `rows`."""
        place = self._place[array]
        rows = self._checks.task(window.task).rows
        window.check(rows)
        if array in self._kept:
            into[:] = self._rows_of_task(array, RowWindow(window.task, 0, rows))[window.start : window.stop]
        else:
            self._read(place, window, into)

    def close(self) -> None:
        """Forget what was read."""
        self._checks.forget()
        with self._lock:
            self._indices.clear()
            for rows_by_task in self._kept.values():
                rows_by_task.clear()

    def _rows_of_task(self, array: str, window: RowWindow) -> NDArray[Any]:
        """Return all rows of a task of a cached array; several threads may read them at the same time."""
        known = self._kept[array].get(window.task)
        if known is None:
            spec = self._arrays[self._place[array]]
            known = np.empty((window.stop, *spec.shape[1:]), dtype=spec.dtype)
            self._read(self._place[array], window, known)
            with self._lock:
                self._kept[array][window.task] = known
        return known

    def _read(self, place: int, window: RowWindow, into: NDArray[Any]) -> None:
        spec = self._arrays[place]
        chunk_rows = spec.chunk[0]
        first, stop = window.start // chunk_rows, -(-window.stop // chunk_rows)
        whole = (first * chunk_rows, stop * chunk_rows) == (window.start, window.stop)
        chunks = into if whole else np.empty(((stop - first) * chunk_rows, *spec.shape[1:]), dtype=spec.dtype)
        load = self._stored if spec.compressor == "none" else self._decoded
        load(place, window.task, first, chunks)
        if not whole:
            into[:] = chunks[window.start - first * chunk_rows :][: window.stop - window.start]

    def _stored(self, place: int, task: int, first: int, into: NDArray[Any]) -> None:
        """Read whole uncompressed chunks from `first` on into memory, and check them in memory."""
        spec = self._arrays[place]
        chunk_bytes = spec.chunk[0] * spec.row_bytes
        memory = into.reshape(-1).view(np.uint8).data
        owner = owner_of(self._objects, self._manifest, task)
        found = owner.objects.read_into(spec.object_path(owner.task), first * chunk_bytes, memory)
        if found != len(memory):
            raise CorruptObjectError(
                f"{self._checks.name(place, task)} ends {len(memory) - found:,} bytes too early; find all damage with "
                "'actstore verify'"
            )
        for chunk, begin in enumerate(range(0, len(memory), chunk_bytes), start=first):
            self._checks.compare(place, task, chunk, memory[begin : begin + chunk_bytes])

    def _decoded(self, place: int, task: int, first: int, into: NDArray[Any]) -> None:
        """Read, check and decode whole compressed chunks from `first` on."""
        spec = self._arrays[place]
        chunk_rows = spec.chunk[0]
        extents = self._index(place, task)[first : first + len(into) // chunk_rows].tolist()
        begin, end = extents[0][0], sum(extents[-1])
        owner = owner_of(self._objects, self._manifest, task)
        data = owner.objects.get_range(spec.object_path(owner.task), begin, end)
        for chunk, (offset, size) in enumerate(extents, start=first):
            stored = data[offset - begin : offset - begin + size]
            self._checks.compare(place, task, chunk, stored)
            into[(chunk - first) * chunk_rows :][:chunk_rows] = decode_chunk(
                spec, stored, name=self._checks.name(place, task)
            )

    def _index(self, place: int, task: int) -> NDArray[np.int64]:
        key = (place, task)
        with self._lock:
            known = self._indices.get(key)
            if known is not None:
                self._indices.move_to_end(key)
                return known
        spec, checks = self._arrays[place], self._checks.task(task)
        size, name = int(checks.bytes_A[place]), self._checks.name(place, task)
        owner = owner_of(self._objects, self._manifest, task)
        tail = owner.objects.get_range(spec.object_path(owner.task), size - index_bytes(spec), size)
        index = parse_index(spec, tail, name=name)
        if len(index) != checks.crc32c_AC.shape[1]:
            raise CorruptObjectError(f"{name}: the shard has {len(index)} chunks, its commit says otherwise")
        with self._lock:
            self._indices[key] = index
            while len(self._indices) > _INDICES_IN_MEMORY:
                self._indices.popitem(last=False)
        return index


class StoreReader:
    """Reads windows of some sites into buffers; a `WindowReader`.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    columns
        Layout of a row.
    late
        Read tasks that were committed after the manifest was made, too.
    """

    def __init__(self, objects: Source, manifest: Manifest, columns: StoredColumns, *, late: bool = False) -> None:
        self._columns = columns
        self._reader = ArrayReader(objects, manifest, columns.arrays, kept=_small(columns), late=late)

    @property
    def layout(self) -> RowLayout:
        """What a row consists of."""
        return self._columns.layout

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window; see `WindowReader`.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        into.check(window)
        for spec, column in zip(self._columns.arrays, self._columns.columns(into), strict=True):
            self._reader.read(spec.path, window, column)

    def close(self) -> None:
        """Forget what was read."""
        self._reader.close()


def _small(columns: StoredColumns) -> list[str]:
    """Return the arrays other than values that fit into memory for all rows of the store, smallest first."""
    kept: list[str] = []
    left = _KEPT_BYTES
    beside = columns.arrays[: -columns.layout.sites]
    for spec in sorted(beside, key=lambda spec: spec.row_bytes):
        left -= spec.shape[0] * spec.row_bytes
        if left >= 0:
            kept.append(spec.path)
    return kept
