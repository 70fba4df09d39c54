"""Executors, which do the tasks of a store: the protocol, and the one of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from actstore.access.objects import ObjectStore
from actstore.contracts.progress import Stage
from actstore.errors import MissingObjectError
from actstore.store.format.layout import commit_path
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.runner import STAGES, TaskRunner

__all__ = ["THREADS", "Ending", "Executor", "SerialExecutor", "Tally", "do_task"]

THREADS: Final = 2
"""Threads of a worker: while one task is in the model, the one before it is encoded and written."""

Ending = Literal["committed", "found", "dropped"]
"""A task was committed here, had been committed by another process, or was dropped."""


class Tally:
    """Counts what a run does and shows it; may be shared by threads."""

    def __init__(self, frozen: FrozenRecipe, stage: Stage) -> None:
        self._frozen = frozen
        self._stage = stage
        self._lock = threading.Lock()
        self.rows = 0
        """Rows of the tasks that this run committed."""
        self.tasks = 0
        """Number of these tasks."""
        self.workers = 1
        """Most processes that worked at the same time."""

    def show(self, rows: int, *, note: str = "") -> None:
        """Advance the progress bar."""
        with self._lock:
            self._stage.advance(rows, note=note)

    def committed(self, task: int) -> None:
        """Count a task that this run committed."""
        with self._lock:
            self.rows += self.rows_of(task)
            self.tasks += 1

    def rows_of(self, task: int) -> int:
        """Return the rows of a task."""
        return self._frozen.rows_of(task)


class Executor(Protocol):
    """Does tasks of one store, in any order and any number at a time."""

    def run(self, tasks: Sequence[int], *, stop: Stop, tally: Tally) -> None:
        """Do the tasks, or as many as `stop` allows.

        Raises
        ------
        ActstoreError
            If a task fails: no other is begun then, and committed tasks stay good.
        """
        ...


class SerialExecutor:
    """One task after the other through the model, in this process."""

    def __init__(self, runner: TaskRunner, objects: ObjectStore) -> None:
        self._runner = runner
        self._objects = objects

    def run(self, tasks: Sequence[int], *, stop: Stop, tally: Tally) -> None:
        """Do the tasks in their order; see `Executor`."""
        turns = _Turns(tasks, stop, self._runner)
        threads = [
            threading.Thread(target=self._work, args=(turns, stop, tally), name=f"actstore-tasks-{number}", daemon=True)
            for number in range(min(STAGES, len(tasks)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # interrupted: finish what is being written, unless interrupted again
            turns.halted.set()
            for thread in threads:
                if thread.ident is not None:  # it was started
                    thread.join()
            raise
        if turns.errors:
            raise turns.errors[min(turns.errors)]

    def _work(self, turns: _Turns, stop: Stop, tally: Tally) -> None:
        while (task := turns.take()) is not None:
            began_s = time.perf_counter()
            try:
                ending = do_task(
                    self._runner,
                    self._objects,
                    task,
                    rows=tally.rows_of(task),
                    must_drop=stop.must_drop,
                    halted=turns.halted.is_set,
                    on_rows=tally.show,
                    begun=True,
                )
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                turns.errors[task] = error
                turns.halted.set()
                return
            if ending == "committed":
                tally.committed(task)
                stop.took(time.perf_counter() - began_s)


class _Turns:
    """Tasks that threads take in turn and in order, until none is left, time is over or one has failed."""

    def __init__(self, tasks: Sequence[int], stop: Stop, runner: TaskRunner) -> None:
        self.halted = threading.Event()
        self.errors: dict[int, BaseException] = {}
        self._left = iter(tasks)
        self._stop = stop
        self._runner = runner
        self._taking = threading.Lock()

    def take(self) -> int | None:
        """Return the next task once the model is free for it; None if no other may be begun."""
        with self._taking:
            self._runner.begin()
            may_begin = self._stop.may_begin() and not self.halted.is_set()
            task = next(self._left, None) if may_begin else None
            if task is None:
                self._runner.leave()
            return task


def do_task(
    runner: TaskRunner,
    objects: ObjectStore,
    task: int,
    *,
    rows: int,
    must_drop: Callable[[], bool],
    halted: Callable[[], bool] = lambda: False,
    on_rows: Callable[[int], None] = lambda _rows: None,
    begun: bool = False,
) -> Ending:
    """Do one task, unless it has a commit.

    Parameters
    ----------
    runner, objects
        The store.
    task, rows
        Number of the task, and number of its rows.
    must_drop
        Called after each batch; if true, the task is dropped, unless that was the last batch.
    halted
        Called likewise; if true, the task is dropped in any case.
    on_rows
        Called with the rows of each batch; if the task has a commit already, once with all its rows.
    begun
        Whether `TaskRunner.begin` was called for it.
    """
    if not begun:
        runner.begin()
    try:
        found = _is_committed(objects, task)
    except BaseException:
        runner.leave()
        raise
    if found:
        runner.leave()
        on_rows(rows)
        return "found"
    computed = 0

    def watch(new: int) -> None:
        nonlocal computed
        computed += new
        on_rows(new)
        if halted() or (must_drop() and computed < rows):
            raise _DroppedError

    try:
        runner.do(task, on_rows=watch)
    except _DroppedError:
        return "dropped"
    return "committed"


class _DroppedError(Exception):
    """Leaves the model between two batches."""


def _is_committed(objects: ObjectStore, task: int) -> bool:
    try:
        objects.get_range(commit_path(task), 0, 1)
    except MissingObjectError:
        return False
    return True
