"""Code that runs on a Dask worker: open the store and load the model once, then do task after task."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple

from distributed import Worker, WorkerPlugin

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.errors import ActstoreError, CorruptObjectError, WorkerError
from actstore.extract.task import ModelRows
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.workflows.clusters.gpus import claim_device, visible_gpus
from actstore.workflows.clusters.work_order import WorkOrder, device_on_worker
from actstore.workflows.extraction.executors import THREADS, Ending, do_task
from actstore.workflows.extraction.plan import reopen
from actstore.workflows.extraction.runner import TaskRunner

__all__ = ["Job", "Outcome", "StorePlugin", "do_on_worker", "software", "tell_worker"]

_COMPARED: Final = ("actstore", "dask", "distributed", "numpy", "torch", "transformers")


def software() -> dict[str, str]:
    """Return the versions that must be the same everywhere; builds of one version may differ."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _COMPARED:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "missing"
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """What workers must know about a run. Only workers get it: keys and arguments of tasks hold only its name."""

    name: str
    order: WorkOrder
    recipe_sha256: str
    software: Mapping[str, str]
    """Versions where the run was started."""
    own_processes: bool
    """Whether this run started the workers, on its machine; they then also get its signals."""


class Outcome(NamedTuple):
    """The outcome of a task. It holds errors of actstore: if they were raised, Dask would log their traceback."""

    ending: Ending | None
    """None after an error."""
    seconds: float
    error: tuple[str, str] | None
    """Name of the class, and the message."""


class StorePlugin(WorkerPlugin):
    """Gives a job to every worker, also to workers that join later."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.name = job.name

    def setup(self, worker: Worker) -> None:
        """Take the job; nothing is opened before the first task."""
        if self._job.own_processes and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        _works[self._job.name] = _Work(self._job, str(worker.address))

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - the signature of Dask
        """Forget the job, and the model with it."""
        _works.pop(self._job.name, None)


def do_on_worker(name: str, task: int) -> Outcome:
    """Do a task of a job."""
    if name not in _works:
        return Outcome(None, 0.0, (WorkerError.__name__, f"a worker on {platform.node()} does not know the job {name}"))
    return _works[name].do(task)


def tell_worker(name: str, *, drop: bool) -> None:
    """Tell a worker to begin no more tasks of a job, and to drop the task in the model."""
    if name in _works:
        _works[name].stopping = True
        _works[name].dropping |= drop


class _Work:
    """A store and a model, opened by the first task."""

    def __init__(self, job: Job, worker: str) -> None:
        self.stopping = self.dropping = False
        self._job = job
        self._worker = worker
        self._opening = threading.Lock()
        self._opened: tuple[TaskRunner, ObjectStore, FrozenRecipe] | None = None
        # The worker may have more threads: a third task must not wait here while another worker could run it.
        self._places = threading.BoundedSemaphore(THREADS)

    def do(self, task: int) -> Outcome:
        began_s = time.perf_counter()
        ending: Ending | None = "dropped"
        try:
            with self._places:
                runner, objects, frozen = self._open()
                began_s = time.perf_counter()
                if not self.stopping:
                    rows = frozen.rows_of(task)
                    ending = do_task(runner, objects, task, rows=rows, must_drop=lambda: self.dropping)
        except ActstoreError as error:
            return Outcome(None, time.perf_counter() - began_s, (type(error).__name__, str(error)))
        return Outcome(ending, time.perf_counter() - began_s, None)

    def _open(self) -> tuple[TaskRunner, ObjectStore, FrozenRecipe]:
        with self._opening:
            if self._opened is None:
                self._check_software()
                order = self._job.order
                objects = open_objects(order.store, order.storage_options)
                frozen = load_frozen(objects)
                if frozen.digest != self._job.recipe_sha256:
                    raise CorruptObjectError(
                        f"{objects.uri}: worker {self._worker} finds another recipe there than the one of this "
                        "run; give a place that is the same on every machine"
                    )
                device = claim_device(device_on_worker(order.device), gpus=visible_gpus(os.environ))
                model = order.load(frozen, order.model, device)
                plan = reopen(objects, frozen, model)
                rows = ModelRows(StoredSequences(objects), model, frozen.tokens_per_batch)
                runner = TaskRunner(plan, rows, objects)
                self._opened = runner, objects, frozen
            return self._opened

    def _check_software(self) -> None:
        here = software()
        different = [
            f"{name} {here[name]} instead of {wanted}"
            for name, wanted in self._job.software.items()
            if here[name] != wanted
        ]
        if different:
            raise WorkerError(
                f"worker {self._worker} has {', '.join(different)}; install the same versions there, or keep that "
                "worker out of this scheduler"
            )


_works: dict[str, _Work] = {}
