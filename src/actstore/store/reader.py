"""Windows back out of a store, every byte checked before it is handed on."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.objects import ObjectStore
from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.errors import CorruptObjectError
from actstore.quantize.table import QUANTIZERS
from actstore.store.checks import ChunkChecks
from actstore.store.layout import ArraySpec, row_arrays
from actstore.store.manifest import Manifest
from actstore.store.selection import StoredColumns
from actstore.store.shard import decode_chunk, index_bytes, parse_index

__all__ = ["ArrayReader", "StoreReader"]

_INDICES_IN_MEMORY: Final = 8192
"""1 KB each at 64 chunks."""


class ArrayReader:
    """Reads rows of row arrays. Safe to share by threads.

    Each chunk is compared with the checksum in its task's commit, and each commit with its digest in the manifest,
    so rows that are handed on are the rows that the manifest describes.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    arrays
        The row arrays to read; None for all.
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest, arrays: Sequence[ArraySpec] | None = None) -> None:
        self._objects = objects
        if arrays is None:
            frozen = manifest.frozen
            store, quantizer = frozen.recipe.store, QUANTIZERS[manifest.encoding]
            arrays = row_arrays(manifest.sites, quantizer, store, frozen.array_rows)
        self._arrays = tuple(arrays)
        self._place = {spec.path: place for place, spec in enumerate(self._arrays)}
        self._checks = ChunkChecks(objects, manifest, self._arrays)
        self._indices: OrderedDict[tuple[int, int], NDArray[np.int64]] = OrderedDict()
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
        spec = self._arrays[place]
        rows = self._checks.task(window.task).rows
        if not 0 <= window.start < window.stop <= rows:
            raise IndexError(f"rows {window.start} to {window.stop} of task {window.task}, which has {rows}")
        chunk_rows = spec.chunk[0]
        first, stop = window.start // chunk_rows, -(-window.stop // chunk_rows)
        if spec.compressor != "none":
            chunks = np.concatenate(self._decoded(place, window.task, first, stop))
        elif first * chunk_rows == window.start and stop * chunk_rows == window.stop:
            self._stored(place, window.task, first, into)
            return
        else:
            chunks = np.empty(((stop - first) * chunk_rows, *spec.shape[1:]), dtype=spec.dtype)
            self._stored(place, window.task, first, chunks)
        into[:] = chunks[window.start - first * chunk_rows :][: window.stop - window.start]

    def close(self) -> None:
        """Forget what was read."""
        self._checks.forget()
        with self._lock:
            self._indices.clear()

    def _stored(self, place: int, task: int, first: int, into: NDArray[Any]) -> None:
        """Read whole uncompressed chunks from `first` on into memory, and check them there."""
        spec = self._arrays[place]
        chunk_bytes = spec.chunk[0] * spec.row_bytes
        memory = into.reshape(-1).view(np.uint8).data
        found = self._objects.read_into(spec.object_path(task), first * chunk_bytes, memory)
        if found != len(memory):
            raise CorruptObjectError(
                f"{self._checks.name(place, task)} ends {len(memory) - found:,} bytes too early; find all damage with "
                "'actstore verify'"
            )
        for chunk, begin in enumerate(range(0, len(memory), chunk_bytes), start=first):
            self._checks.compare(place, task, chunk, memory[begin : begin + chunk_bytes])

    def _decoded(self, place: int, task: int, first: int, stop: int) -> list[NDArray[Any]]:
        """Read, check and decode compressed chunks [first, stop)."""
        spec = self._arrays[place]
        extents = self._index(place, task)[first:stop].tolist()
        begin, end = extents[0][0], sum(extents[-1])
        data = memoryview(self._objects.get_range(spec.object_path(task), begin, end))
        decoded = []
        for chunk, (offset, size) in enumerate(extents, start=first):
            stored = bytes(data[offset - begin : offset - begin + size])
            self._checks.compare(place, task, chunk, stored)
            decoded.append(decode_chunk(spec, stored))
        return decoded

    def _index(self, place: int, task: int) -> NDArray[np.int64]:
        key = (place, task)
        with self._lock:
            known = self._indices.get(key)
            if known is not None:
                self._indices.move_to_end(key)
                return known
        spec, checks = self._arrays[place], self._checks.task(task)
        size, name = int(checks.bytes_A[place]), self._checks.name(place, task)
        tail = self._objects.get_range(spec.object_path(task), size - index_bytes(spec), size)
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
        What a row consists of.
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest, columns: StoredColumns) -> None:
        self._columns = columns
        self._reader = ArrayReader(objects, manifest, columns.arrays)

    @property
    def layout(self) -> RowLayout:
        """What a row consists of."""
        return self._columns.layout

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window.

        Raises
        ------
        ValueError
            If the buffer is of another size.
        IndexError
            If the task has no such rows.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        if len(into) != window.stop - window.start:
            raise ValueError(f"a buffer of {len(into)} rows for {window}")
        for spec, column in zip(self._columns.arrays, self._columns.columns(into), strict=True):
            self._reader.read(spec.path, window, column)

    def close(self) -> None:
        """Forget what was read."""
        self._reader.close()
