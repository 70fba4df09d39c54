"""Reused memory for the rows of tasks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from actstore.contracts.models import DeviceRows, Site
from actstore.contracts.planes import Planes
from actstore.contracts.tasks import TaskRows

__all__ = ["RowMemory", "allocate_rows"]


class RowMemory:
    """Reuses the memory of finished tasks for later tasks.

    Getting new pages costs a process several times more than writing to pages that it has.

    Safe to use from several threads.

    Parameters
    ----------
    device_rows
        Device memory where rows stay until they are encoded; None for the memory of the host.
    """

    def __init__(self, device_rows: DeviceRows | None = None) -> None:
        self._device_rows = device_rows
        self._free: list[TaskRows] = []
        self._lock = threading.Lock()

    def take(self, count: int, sites: Sequence[Site]) -> TaskRows:
        """Return uninitialised rows: returned rows of a task of the same shape, or new memory."""
        with self._lock:
            for index, rows in enumerate(self._free):
                if _shape_of(rows) == (count, {site.name: site.width for site in sites}):
                    return self._free.pop(index)
            self._free.clear()  # rows of another shape would only take memory
        return allocate_rows(count, sites, self._device_rows)

    def reserve(self, count: int, sites: Sequence[Site], *, times: int) -> None:
        """Allocate memory before it is needed; raises as `DeviceRows.allocate`."""
        for rows in [self.take(count, sites) for _ in range(times)]:
            self.give_back(rows)

    def give_back(self, rows: TaskRows) -> None:
        """Take back rows that are no longer used; rows that were encoded elsewhere are not from here."""
        if any(isinstance(values, Planes) for values in rows.values.values()):
            return
        with self._lock:
            self._free.append(rows)


def allocate_rows(count: int, sites: Sequence[Site], device_rows: DeviceRows | None = None) -> TaskRows:
    """Return rows of new, uninitialised memory."""
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
