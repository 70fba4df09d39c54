"""Cost of computing windows: which tasks are kept, and how often the others are computed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["LiveCost", "live_cost"]


class LiveCost(NamedTuple):
    """Work of the model in one epoch."""

    tasks: int
    """Tasks whose rows are not stored."""
    computed: int
    """Number of times that one of them is computed."""
    needed_bytes: int
    """Bytes needed to keep all of them, so that each is computed once."""

    @property
    def passes(self) -> float:
        """How often the model runs over each of them, on average."""
        return self.computed / self.tasks if self.tasks else 0.0


def live_cost(fills: Iterable[Iterable[int]], *, task_bytes: int, kept_bytes: int) -> LiveCost:
    """Count how often tasks are computed if the first that fit are kept, and of the others only the latest.

    Every fill uses as many tasks as it can, always in the same cyclic order. In such a cycle a cache that drops the
    oldest task never holds the next one. A cache that keeps its first tasks serves them in every cycle.

    Parameters
    ----------
    fills
        The tasks of each fill that have to be computed.
    task_bytes
        Bytes of the rows of a task.
    kept_bytes
        Most bytes to keep.

    Examples
    --------
    >>> live_cost([[0, 1, 2], [0, 1, 2]], task_bytes=10, kept_bytes=30)
    LiveCost(tasks=3, computed=3, needed_bytes=30)
    >>> live_cost([[0, 1, 2], [0, 1, 2]], task_bytes=10, kept_bytes=10)
    LiveCost(tasks=3, computed=5, needed_bytes=30)
    """
    seen: set[int] = set()
    kept: set[int] = set()
    latest = None
    computed = 0
    for tasks in fills:
        for task in tasks:
            seen.add(task)
            if task in kept or task == latest:
                continue
            computed += 1
            latest = task
            if (len(kept) + 1) * task_bytes <= kept_bytes:
                kept.add(task)
    return LiveCost(len(seen), computed, len(seen) * task_bytes)
