"""Tasks of one store: each is encoded and written while the next is in the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from actstore.access.objects import ObjectStore
from actstore.contracts.tasks import RowSource
from actstore.extract.row_memory import RowMemory
from actstore.extract.threads import LoneThreads
from actstore.store.write.writer import commit_of, encode_task, publish_task
from actstore.workflows.extraction.plan import ExtractionPlan

__all__ = ["STAGES", "TaskRunner"]

STAGES: Final = 3
"""Threads that can use `TaskRunner.do` at a time: each task is in another stage."""


class TaskRunner:
    """Does tasks of a store: threads that call `begin` and `do` are in different stages of their tasks.

    A task is computed, encoded and hashed, and written. While one is computed, the one before it may be encoded and the
    one before that written. So memory holds the rows of two tasks, and the encoded objects of two.

    One thread runs each forward pass, and one encodes each site; several work at a time.

    Parameters
    ----------
    plan, rows, objects
        The store and what gives its rows.
    threads
        None for as many as torch would use.
    """

    def __init__(
        self,
        plan: ExtractionPlan,
        rows: RowSource,
        objects: ObjectStore,
        *,
        threads: int | None = None,
    ) -> None:
        self._plan = plan
        self._rows = rows
        self._objects = objects
        self._computing, self._encoding, self._writing = (threading.Lock() for _ in range(STAGES))
        self._memory = RowMemory(rows.device_rows)
        if rows.device_rows is not None:  # fail now if memory is too small, not after the first task
            frozen = plan.frozen
            self._memory.reserve(min(frozen.layout.task_rows, frozen.rows), rows.sites, times=min(2, frozen.tasks))
        self._threads = LoneThreads(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads after their current work."""
        self._threads.close()

    def begin(self) -> None:
        """Wait until a task may be computed; `do`, in any thread, or `leave` must follow."""
        self._computing.acquire()

    def leave(self) -> None:
        """Let another task be computed in place of this one."""
        self._computing.release()

    def do(self, index: int, *, on_rows: Callable[[int], None] | None = None) -> None:
        """Extract, write and commit a task that was begun; it is committed when this returns.

        Parameters
        ----------
        index
            Number of the task.
        on_rows
            Called with a number of rows after they are computed; if it raises, the task is dropped.

        Raises
        ------
        CorpusError, ModelError, NumericsError, StoreError
            If the work fails; the task is then not committed.
        """
        frozen = self._plan.frozen
        with _handed_on(self._computing, self._encoding):
            task = self._plan.tasks.task(index)
            rows = self._rows.task_rows(task, parallel=self._threads.map, take_rows=self._memory.take, on_rows=on_rows)
        with _handed_on(self._encoding, self._writing):
            shards = encode_task(frozen, task, rows, name_of=self._rows.sequence_id, parallel=self._threads.map)
            self._memory.give_back(rows)
            commit = commit_of(frozen, index, shards, parallel=self._threads.map)
        with _handed_on(self._writing):
            publish_task(self._objects, commit, shards)


@contextmanager
def _handed_on(stage: threading.Lock, following: threading.Lock | None = None) -> Iterator[None]:
    """Hold a stage until the work is done and the following stage is free, then hold that one."""
    try:
        yield
        if following is not None:
            following.acquire()
    finally:
        stage.release()
