"""Encoded rows of whole tasks, kept in memory or in files up to a number of bytes."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowOrigin
from actstore.errors import StoreError

__all__ = ["KeptRows", "buffer_bytes"]


class KeptRows:
    """Keeps the first tasks that fit, and of the others the latest; threads may share it.

    Parameters
    ----------
    most_bytes
        Most bytes to keep, the latest task not counted.
    folder
        Folder for files that disappear with this process; None keeps rows in memory.
    """

    def __init__(self, most_bytes: int, folder: Path | None = None) -> None:
        self._most_bytes = most_bytes
        self._folder = folder
        self._kept: dict[int, RowBuffer] = {}
        self._bytes = 0
        self._latest: tuple[int, RowBuffer] | None = None
        self._wanted: frozenset[int] | None = None
        self._lock = threading.Lock()

    def want(self, tasks: Collection[int]) -> None:
        """Set which tasks are needed from now on; others are dropped to make room for them."""
        with self._lock:
            self._wanted = frozenset(tasks)

    def get(self, task: int) -> RowBuffer | None:
        """Return the rows of a task if they are kept."""
        with self._lock:
            if self._latest is not None and self._latest[0] == task:
                return self._latest[1]
            return self._kept.get(task)

    def add(self, task: int, rows: RowBuffer) -> None:
        """Keep the rows of a task if there is room, else until the next one comes."""
        size = buffer_bytes(rows)
        with self._lock:
            self._latest = (task, rows)
            self._make_way(size)
            if task in self._kept or self._bytes + size > self._most_bytes:
                return
            if self._folder is not None:
                rows = _in_files(rows, self._folder)
                self._latest = (task, rows)
            self._kept[task] = rows
            self._bytes += size

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self._bytes, self._latest = 0, None

    def _make_way(self, size: int) -> None:
        if self._wanted is None:
            return
        for task in [task for task in self._kept if task not in self._wanted]:
            if self._bytes + size <= self._most_bytes:
                return
            self._bytes -= buffer_bytes(self._kept.pop(task))


def buffer_bytes(rows: RowBuffer) -> int:
    """Return the bytes of all arrays of a buffer."""
    return sum(array.nbytes for array in _arrays(rows))


def _arrays(rows: RowBuffer) -> list[NDArray[Any]]:
    return [*rows.values, *([] if rows.scale_RTG is None else [rows.scale_RTG]), *rows.origin]


def _in_files(rows: RowBuffer, folder: Path) -> RowBuffer:
    """Return the same rows in a file without a name, mapped into memory."""
    mapped: list[NDArray[Any]] = []
    try:
        for array in _arrays(rows):
            with tempfile.TemporaryFile(dir=folder) as file:
                np.ascontiguousarray(array).tofile(file)
                file.flush()
                mapped.append(np.memmap(file, dtype=array.dtype, mode="r", shape=array.shape))
    except OSError as error:
        raise StoreError(f"{folder}: computed rows cannot be kept there: {error.strerror or error}") from None
    *values, sequence_R, position_R, token_R = mapped
    scale_RTG = None if rows.scale_RTG is None else values.pop()
    return RowBuffer(tuple(values), scale_RTG, RowOrigin(sequence_R, position_R, token_R))
