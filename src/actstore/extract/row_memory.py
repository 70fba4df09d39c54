"""Memory for the rows of tasks, used again."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from actstore.contracts.models import DeviceRows, Site
from actstore.contracts.tasks import TaskRows

__all__ = ["RowMemory", "allocate_rows"]


class RowMemory:
    """Gives the memory of tasks that are done to those that come.

    Pages that are new to a process cost several times more than writing to them does.

    Safe to use from several threads.

    Parameters
    ----------
    device_rows
        Where the rows of a model stay until they are encoded; None for the memory of the host.
    """

    def __init__(self, device_rows: DeviceRows | None = None) -> None:
        self._device_rows = device_rows
        self._free: list[TaskRows] = []
        self._lock = threading.Lock()

    def take(self, count: int, sites: Sequence[Site]) -> TaskRows:
        """Return rows that hold anything: those of a task of the same shape that were given back, or new ones."""
        with self._lock:
            for index, rows in enumerate(self._free):
                if _shape_of(rows) == (count, {site.name: site.width for site in sites}):
                    return self._free.pop(index)
            self._free.clear()  # what does not fit now would only take room
        return allocate_rows(count, sites, self._device_rows)

    def reserve(self, count: int, sites: Sequence[Site], *, times: int) -> None:
        """Get memory before it is needed; raises as `DeviceRows.allocate`."""
        for rows in [self.take(count, sites) for _ in range(times)]:
            self.give_back(rows)

    def give_back(self, rows: TaskRows) -> None:
        """Take back rows that nobody looks at any more."""
        with self._lock:
            self._free.append(rows)


def allocate_rows(count: int, sites: Sequence[Site], device_rows: DeviceRows | None = None) -> TaskRows:
    """Return rows of new memory, which holds anything."""
    return TaskRows(
        sequence_N=np.empty(count, dtype=np.int64),
        position_N=np.empty(count, dtype=np.int32),
        token_N=np.empty(count, dtype=np.int16),
        values={site.name: np.empty((count, site.width), dtype=np.float32) for site in sites}
        if device_rows is None
        else device_rows.allocate(count),
    )


def _shape_of(rows: TaskRows) -> tuple[int, dict[str, int]]:
    return len(rows.sequence_N), {name: values.shape[1] for name, values in rows.values.items()}
