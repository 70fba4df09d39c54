"""Run tasks on Dask workers: a bounded number in flight, each on a free worker, again if a worker is lost."""

from __future__ import annotations

import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from distributed import Client, Future, KilledWorker

from actstore import errors
from actstore.errors import ActstoreError, WorkerError
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.clusters.worker import Job, Outcome, StorePlugin, do_on_worker, software, tell_worker
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.executors import THREADS, Tally

__all__ = ["DaskExecutor"]

_LOOK_S: Final = 0.5
"""How often the deadline and the number of workers are checked while no task ends."""
_SPARE: Final = 1
"""Tasks queued at each worker, so that the worker does not wait."""
_MOST_LOSSES: Final = 3
"""How often Dask may give up a task, each time after four workers were lost with it."""


class DaskExecutor:
    """Sends task numbers to the workers of a cluster; workers write the rows to the store themselves.

    The number of tasks in flight follows the number of workers: a worker that joins late gets work at once, and the
    scheduler never holds a hundred thousand tasks.

    Parameters
    ----------
    client
        Client of the scheduler.
    order, recipe_sha256
        The information that workers need.
    own_processes
        Whether this run started the workers, on its machine.
    check_idle
        Called while there are no workers; raises if none can come.
    """

    def __init__(
        self,
        client: Client,
        order: WorkOrder,
        *,
        recipe_sha256: str,
        own_processes: bool,
        check_idle: Callable[[], None] | None = None,
    ) -> None:
        self._client: Any = client  # only half of it is typed
        name = f"actstore-{recipe_sha256[:8]}-{uuid.uuid4().hex[:8]}"
        self._job = Job(name, order, recipe_sha256, software(), own_processes)
        self._check_idle = check_idle
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._flying: dict[str, tuple[int, Any]] = {}
        self._losses: Counter[int] = Counter()
        self._looked_s = -_LOOK_S
        self._workers: dict[str, int] = {}

    def run(self, tasks: Sequence[int], *, stop: Stop, tally: Tally) -> None:
        """Do the tasks; see `actstore.workflows.extraction.executors.Executor`."""
        tally.workers = 0
        try:
            self._register()
            self._work(deque(tasks), stop, tally)
        except OSError as error:  # also timeouts and closed connections
            raise WorkerError(
                f"the scheduler can no longer be reached ({type(error).__name__}); committed tasks are good, and "
                "the same command continues"
            ) from error
        finally:
            self._leave()

    def _register(self) -> None:
        """Give the job to all present and future workers."""
        try:
            self._client.register_plugin(StorePlugin(self._job))
        except OSError:
            raise
        except Exception as error:  # any error of a worker with the package, also a bare Exception
            raise WorkerError(
                f"the workers cannot run actstore {self._job.software['actstore']} ({error}); install it there"
            ) from error

    def _work(self, left: deque[int], stop: Stop, tally: Tally) -> None:
        held = dropped = False
        while True:
            if not held and not stop.may_begin():
                held = True
                self._tell(drop=False)
            if not dropped and stop.must_drop():
                dropped = True
                self._tell(drop=True)
            self._look(tally)
            while left and not held and len(self._flying) < self._window() and stop.may_begin():
                self._submit(left.popleft())
            if not self._flying and (held or not left):
                return
            if held and not self._workers:  # their tasks are lost, and no worker is left to wait for
                return
            try:
                future = self._ended.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            self._take(future, left, stop, tally)

    def _submit(self, task: int) -> None:
        key = f"{self._job.name}-{task}-{self._losses[task]}"
        future = self._client.submit(do_on_worker, self._job.name, task, key=key, pure=False)
        self._flying[key] = (task, future)
        future.add_done_callback(self._ended.put)

    def _take(self, future: Future[Any], left: deque[int], stop: Stop, tally: Tally) -> None:
        task, _ = self._flying.pop(str(future.key))
        if future.status in {"cancelled", "lost"}:
            raise ConnectionError
        try:
            outcome: Outcome = future.result()
        except KilledWorker as error:
            self._losses[task] += 1
            if self._losses[task] >= _MOST_LOSSES:
                raise WorkerError(
                    f"task {task}: every worker that took it was lost, the last at {error.last_worker.address}; "
                    "is their memory large enough? (smaller tasks need less: store.task_rows)"
                ) from None
            left.appendleft(task)
            return
        if outcome.error is not None:
            raise _error_of(*outcome.error)
        if outcome.ending == "committed":
            stop.took(outcome.seconds)
            tally.committed(task)
        if outcome.ending != "dropped":
            tally.show(tally.rows_of(task))

    def _look(self, tally: Tally) -> None:
        """Ask the scheduler for its workers, now and then."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        before = len(self._workers)
        self._looked_s, self._workers = now_s, dict(self._client.nthreads())
        tally.workers = max(tally.workers, len(self._workers))
        if len(self._workers) != before or not self._workers:
            tally.show(0, note=f"{len(self._workers)} workers")
        if not self._workers and self._check_idle is not None:
            self._check_idle()

    def _window(self) -> int:
        return sum(min(THREADS, threads) + _SPARE for threads in self._workers.values())

    def _tell(self, *, drop: bool) -> None:
        """Tell all workers to begin no more tasks; workers that are being lost may miss it."""
        self._client.run(tell_worker, self._job.name, drop=drop, on_error="ignore")

    def _leave(self) -> None:
        """Clean up on workers that keep running: after an error, they drop their tasks of this run."""
        try:
            if self._flying:
                self._tell(drop=True)
                self._client.cancel([future for _, future in self._flying.values()], force=True)
            self._flying.clear()
            self._client.unregister_worker_plugin(self._job.name)
        except (OSError, ValueError, RuntimeError, KeyError):
            return  # the scheduler is gone, or the job never reached a worker


def _error_of(kind: str, message: str) -> ActstoreError:
    """Return the error of a worker as this process would have raised it."""
    error: ActstoreError = getattr(errors, kind)(message)
    return error
