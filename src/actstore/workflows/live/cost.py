"""What computing windows costs: which tasks stay at hand, and how often the others are computed again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["LiveCost", "live_cost"]


class LiveCost(NamedTuple):
    """What one epoch asks of the model."""

    tasks: int
    """Tasks whose rows are not stored."""
    computed: int
    """How often one of them is computed."""
    needed_bytes: int
    """What keeping all of them takes, so that each is computed once."""

    @property
    def passes(self) -> float:
        """How often the model runs over each of them, in the mean."""
        return self.computed / self.tasks if self.tasks else 0.0


def live_cost(fills: Iterable[Iterable[int]], *, task_bytes: int, kept_bytes: int) -> LiveCost:
    """Count how often tasks are computed if the first that fit are kept, and of the others only the latest.

    Every fill draws on as many tasks as it can, one after the other in the same order. Of what comes round like that
    a cache that drops the oldest would keep nothing that is ever asked for again; one that keeps what it has does.

    Parameters
    ----------
    fills
        The tasks of each fill that have to be computed.
    task_bytes
        Bytes of the rows of a task.
    kept_bytes
        How much is kept.

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
