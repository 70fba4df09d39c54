"""The rows of a local store in memory maps: shards mapped side by side, each chunk checked before its first use.

Uncompressed shards begin with their rows as one flat array. Mapped one after another they are one flat array of the
whole split, and a batch is gathered directly from the page cache, without buffers.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError
from actstore.store.format.layout import ArraySpec
from actstore.store.read.addresses import PAGE_BYTES, AddressRange, can_map_at
from actstore.store.read.checks import ChunkChecks
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source, has_local_files, owner_of
from actstore.store.read.selection import StoredColumns

__all__ = ["MappedRows", "mapping_obstacle"]

MOST_MAPPINGS: Final = 32_768
"""Half of the default limit of Linux per process (vm.max_map_count = 65,530); there may be other streams."""


def mapping_obstacle(objects: Source, manifest: Manifest, columns: StoredColumns, tasks: int) -> str | None:
    """Return why the rows of a store cannot be mapped; None if they can."""
    if not has_local_files(objects):
        return "it is not on a local filesystem"
    compressor = manifest.frozen.layout.compressor
    if compressor != "none":
        return f"it is compressed ({compressor})"
    if not can_map_at():
        return "this operating system does not map files at chosen addresses"
    # Where a shard ends before a page of rows does, the addresses up to the next one count as a mapping, too.
    for_each = 2 if manifest.frozen.layout.task_rows % PAGE_BYTES else 1
    if for_each * tasks * len(columns.arrays) > MOST_MAPPINGS:
        return f"{tasks:,} tasks with {len(columns.arrays)} arrays are more than {MOST_MAPPINGS:,} mappings"
    return None


class MappedRows:
    """All rows of a run of tasks as one `RowBuffer`.

    A place in the buffer (a *slot*) holds a row after a window with that row was admitted: its shards are mapped and
    its chunks have the checksums of their commit. Access to any other slot kills the process. So does a file that is
    shortened while it is mapped; actstore never does this, because it replaces objects as a whole.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    columns
        What to map.
    tasks
        The tasks; addresses are reserved from the first to the last.
    """

    def __init__(self, objects: Source, manifest: Manifest, columns: StoredColumns, tasks: Sequence[int]) -> None:
        self._objects, self._manifest = objects, manifest
        self._columns = columns
        self._checks = ChunkChecks(objects, manifest, columns.arrays)
        layout = manifest.frozen.layout
        self._task_rows = layout.task_rows
        self._chunk_rows = layout.chunk_rows
        self._first_task = min(tasks)
        count = max(tasks) - self._first_task + 1
        # A shard must begin at a page border for any size of row, so its room is a multiple of a page of rows.
        self._stride = -(-self._task_rows // PAGE_BYTES) * PAGE_BYTES
        slots = count * self._stride
        self._ranges = tuple(AddressRange(slots * spec.row_bytes) for spec in columns.arrays)
        self._buffer: RowBuffer | None = columns.buffer(
            [
                space.array(np.dtype(spec.dtype), (slots, *spec.shape[1:]))
                for space, spec in zip(self._ranges, columns.arrays, strict=True)
            ]
        )
        self._mapped = np.zeros((len(columns.arrays), count), dtype=bool)
        self._checked = np.zeros((len(columns.arrays), count, self._task_rows // self._chunk_rows), dtype=bool)
        self._lock = threading.Lock()

    @property
    def layout(self) -> RowLayout:
        """Layout of a row."""
        return self._columns.layout

    @property
    def buffer(self) -> RowBuffer:
        """All slots."""
        if self._buffer is None:
            raise ValueError("these rows are closed")
        return self._buffer

    def slots(self, row_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the slots of global rows."""
        first = self._first_task * self._task_rows
        if self._stride == self._task_rows:
            return row_N - first
        task_N, place_N = np.divmod(row_N - first, self._task_rows)
        return task_N * self._stride + place_N

    def admit(self, window: RowWindow) -> None:
        """Map and check the shards and chunks of a window, and load them into the page cache. Safe in several threads.

        Raises
        ------
        IndexError
            If the task has no such rows.
        MissingObjectError, CorruptObjectError
            The message names object and task.
        """
        rows = self._checks.task(window.task).rows
        window.check(rows)
        first, last = window.start // self._chunk_rows, (window.stop - 1) // self._chunk_rows
        place = window.task - self._first_task
        for array, spec in enumerate(self._columns.arrays):
            if not self._mapped[array, place]:
                self._map(array, spec, window.task)
            start = (place * self._stride + first * self._chunk_rows) * spec.row_bytes
            chunk_bytes = self._chunk_rows * spec.row_bytes
            if self._checked[array, place, first : last + 1].all():
                self._ranges[array].touch(start, start + (last + 1 - first) * chunk_bytes)
                continue
            for chunk in range(first, last + 1):
                begin = start + (chunk - first) * chunk_bytes
                if self._checked[array, place, chunk]:
                    self._ranges[array].touch(begin, begin + chunk_bytes)
                    continue
                # Load first: the checksum would block all other threads while it waits for the disk.
                self._ranges[array].touch(begin, begin + chunk_bytes)
                stored = self._ranges[array].view(begin, begin + chunk_bytes)
                self._checks.compare(array, window.task, chunk, stored)
                self._checked[array, place, chunk] = True

    def release(self, window: RowWindow) -> None:
        """Release the pages of a window from this process; the operating system may keep them in its cache."""
        start = (window.task - self._first_task) * self._stride + window.start
        for space, spec in zip(self._ranges, self._columns.arrays, strict=True):
            space.forget(start * spec.row_bytes, (start + window.stop - window.start) * spec.row_bytes)

    def close(self) -> None:
        """Unmap everything; no thread may be admitting or gathering."""
        self._buffer = None
        for space in self._ranges:
            space.close()
        self._checks.forget()

    def _map(self, array: int, spec: ArraySpec, task: int) -> None:
        checks = self._checks.task(task)
        place = task - self._first_task
        start = place * self._stride * spec.row_bytes
        stop = start + -(-checks.rows // self._chunk_rows) * self._chunk_rows * spec.row_bytes
        name = self._checks.name(array, task)
        with self._lock:
            if self._mapped[array, place]:
                return
            try:
                descriptor = os.open(self._file(spec, task), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError as error:
                raise MissingObjectError(f"{name} is missing") from error
            except OSError as error:
                raise StoreError(f"{name} cannot be read: {error.strerror}") from error
            try:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise CorruptObjectError(f"{name} is not a file")
                size = found.st_size
                if size != checks.bytes_A[array]:
                    raise CorruptObjectError(
                        f"{name} has {size:,} bytes, its commit says {checks.bytes_A[array]:,}; find all damage with "
                        "'actstore verify'"
                    )
                self._ranges[array].map(descriptor, start, stop)
            except OSError as error:
                raise StoreError(
                    f"{name} cannot be mapped: {error.strerror}; close other streams, or raise vm.max_map_count"
                ) from error
            finally:
                os.close(descriptor)
            self._mapped[array, place] = True

    def _file(self, spec: ArraySpec, task: int) -> Path:
        owner = owner_of(self._objects, self._manifest, task)
        assert isinstance(owner.objects, LocalObjects)  # noqa: S101 - see mapping_obstacle
        return owner.objects.local_path(spec.object_path(owner.task))
