"""Sources of Dask workers: processes on this machine, an existing scheduler, or Slurm jobs."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from actstore.access.credentials import refuse_credentials
from actstore.access.scratch import scratch_folder
from actstore.errors import UsageError, WorkerError
from actstore.leaving import putting_away
from actstore.workflows.clusters.gpus import ALLOCATOR, visible_gpus, worker_environments
from actstore.workflows.clusters.main_guard import check_main_guard
from actstore.workflows.clusters.slurm_config import ADAPT, slurm_arguments
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extraction.executors import THREADS, Executor

__all__ = [
    "Cluster",
    "ExistingScheduler",
    "LocalWorkers",
    "SlurmWorkers",
    "check_cluster",
    "connected",
    "workers_of",
]

_CONNECT_S: Final = 30


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """Processes on this machine, which end with the run.

    Each of them imports the script that asks for them, so a script does its work under
    ``if __name__ == "__main__":``; without that it is refused.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers = {self.workers}: at least one is needed")


@dataclass(frozen=True, slots=True)
class ExistingScheduler:
    """A running scheduler; its workers may join and leave at any time."""

    address: str

    def __post_init__(self) -> None:
        refuse_credentials(self.address, name="--scheduler")


@dataclass(frozen=True, slots=True)
class SlurmWorkers:
    """Jobs that dask-jobqueue submits, each with one worker."""

    config: Mapping[str, Any] = field(repr=False)
    """Arguments of `dask_jobqueue.SLURMCluster`; `adapt` holds those of its method `adapt`."""
    jobs: int | None = None
    """Number of jobs; None to adapt it as the configuration says."""

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--workers = {self.jobs}: at least one is needed")
        if (self.jobs is None) == (ADAPT not in self.config):
            raise UsageError(
                "give --workers N for a fixed number of Slurm jobs, or a table [adapt] with minimum_jobs and "
                "maximum_jobs in the Slurm configuration, and not both"
            )


Cluster = LocalWorkers | ExistingScheduler | SlurmWorkers


@contextmanager
def workers_of(cluster: Cluster, order: WorkOrder, *, recipe_sha256: str) -> Iterator[Executor]:
    """Yield an executor on the workers of a cluster; workers that were started for it end with it.

    Raises
    ------
    UsageError
        If a package is missing, or an address or configuration is invalid.
    WorkerError
        If no scheduler answers.
    """
    _needed("distributed", extra="dask")
    executors = importlib.import_module("actstore.workflows.clusters.executor")
    jobs = (
        _needed("actstore.workflows.clusters.slurm_jobs", extra="slurm") if isinstance(cluster, SlurmWorkers) else None
    )
    store = order.store if "://" in order.store else str(Path(order.store).absolute())
    with connected(cluster, device=order.device) as client:
        yield executors.DaskExecutor(
            client,
            replace(order, store=store),
            recipe_sha256=recipe_sha256,
            own_processes=isinstance(cluster, LocalWorkers),
            check_idle=None if jobs is None else partial(jobs.check_jobs, client.cluster),
        )


@contextmanager
def connected(cluster: Cluster, *, device: str) -> Iterator[Any]:
    """Yield a `distributed.Client` of a cluster; workers that were started for it end with it.

    Raises
    ------
    UsageError
        If a package is missing, or an address or configuration is invalid.
    WorkerError
        If no scheduler answers.
    """
    distributed = _needed("distributed", extra="dask")
    match cluster:
        case LocalWorkers():
            with _local(cluster.workers, device) as scheduler, _client(distributed, scheduler) as client:
                yield client
        case ExistingScheduler():
            with _client(distributed, cluster.address) as client:
                yield client
        case SlurmWorkers():
            with _slurm(cluster) as scheduler, _client(distributed, scheduler) as client:
                yield client


def check_cluster(cluster: Cluster) -> None:
    """Check early whether the cluster can have workers; start none.

    Raises
    ------
    UsageError
        If a package is missing, or an address or configuration is invalid.
    WorkerError
        If no scheduler answers, or Slurm would not take a job.
    """
    match cluster:
        case LocalWorkers():
            check_main_guard(f"LocalWorkers({cluster.workers})")
            _needed("distributed", extra="dask")
        case ExistingScheduler():
            with connected(cluster, device="cpu"):
                return
        case SlurmWorkers():
            with _slurm_scheduler(cluster) as scheduler:
                _needed("actstore.workflows.clusters.slurm_jobs", extra="slurm").try_job(scheduler.job_script())


def _needed(module: str, *, extra: str) -> ModuleType:
    """Import a package; keep the handling of Ctrl-C, which dask-jobqueue would change."""
    before = signal.getsignal(signal.SIGINT)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: pip install 'actstore[{extra}]'") from error
    finally:
        if signal.getsignal(signal.SIGINT) is not before and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def _client(distributed: ModuleType, scheduler: Any) -> Iterator[Any]:  # noqa: ANN401 - an address or a cluster
    try:
        if isinstance(scheduler, str):  # the client would try an invalid address for a minute
            importlib.import_module("distributed.comm.addressing").get_address_host_port(scheduler)
        client = distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except ValueError as error:
        raise UsageError(f"--scheduler = {scheduler!r}: {error}") from None
    except OSError as error:
        raise WorkerError(
            f"{scheduler}: no Dask scheduler answers ({type(error).__name__}); start one with 'dask scheduler', and "
            "workers with 'dask worker'"
        ) from None
    with client:
        yield client


@contextmanager
def _local(workers: int, device: str) -> Iterator[Any]:
    check_main_guard(f"LocalWorkers({workers})")
    distributed = importlib.import_module("distributed")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environments = worker_environments(
        workers, device=device, gpus=visible_gpus(os.environ), cores=cores, environ=os.environ
    )
    allocator = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in ALLOCATOR.items()}
    with (
        scratch_folder("workers") as folder,
        # The scheduler, which runs in this process, has a folder, too.
        importlib.import_module("dask.config").set(allocator | {"temporary-directory": str(folder)}),
        _loop_of_its_own(distributed) as loop,
    ):
        each = {
            "host": "127.0.0.1",
            "nthreads": THREADS,
            "memory_limit": 0,  # the machine sets the limit: a worker must not be killed only for its size
            "dashboard": False,
            "local_directory": str(folder),
            "silence_logs": logging.ERROR,
        }
        try:
            cluster = distributed.SpecCluster(
                scheduler={
                    "cls": distributed.Scheduler,
                    "options": {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"},
                },
                workers={
                    number: {"cls": distributed.Nanny, "options": each | {"env": environment}}
                    for number, environment in enumerate(environments)
                },
                silence_logs=logging.ERROR,
                name="actstore",
                loop=loop,
            )
        except (RuntimeError, OSError) as error:  # OSError: also timeouts
            raise _not_started(error, workers) from error
        with putting_away(partial(_kill_workers, cluster)), cluster:
            yield cluster


@contextmanager
def _loop_of_its_own(distributed: ModuleType) -> Iterator[Any]:
    """Yield an event loop in a thread that gets no signals, and neither do the processes that it starts.

    Ctrl-C in a terminal goes to all processes, and Slurm may send SIGTERM to all. This process alone decides what then
    happens; a worker that dies of it would be started again.
    """
    runner = distributed.utils.LoopRunner()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        runner.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield runner.loop
    finally:
        runner.stop()


def _kill_workers(cluster: Any) -> None:  # noqa: ANN401 - a SpecCluster, which has no types
    """Kill worker processes whose tasks nobody waits for; they would end by themselves a little later."""
    for nanny in tuple(cluster.workers.values()):
        if nanny.pid is not None:
            os.kill(nanny.pid, signal.SIGKILL)


def _not_started(error: BaseException, workers: int) -> WorkerError:
    """Name the cause of "Nanny failed to start", which is the last of a chain of exceptions."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return WorkerError(
        f"not all of the {workers} worker processes started: {str(error) or type(error).__name__}; what they said is "
        "above. Is there memory for so many, and room in TMPDIR? In a script, extract_store must be called below "
        "'if __name__ == \"__main__\":'"
    )


@contextmanager
def _slurm(workers: SlurmWorkers) -> Iterator[Any]:
    with _slurm_scheduler(workers) as cluster:
        if workers.jobs is None:
            cluster.adapt(**workers.config[ADAPT])
        else:
            cluster.scale(jobs=workers.jobs)
        yield cluster


@contextmanager
def _slurm_scheduler(workers: SlurmWorkers) -> Iterator[Any]:
    """Yield a cluster that has no jobs yet."""
    jobqueue = _needed("dask_jobqueue", extra="slurm")
    jobs = _needed("actstore.workflows.clusters.slurm_jobs", extra="slurm")
    try:
        cluster = jobqueue.SLURMCluster(job_cls=jobs.SlurmJob, **slurm_arguments(workers.config))
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: its scheduler, such as an unknown interface
        raise UsageError(f"the Slurm configuration: {error}") from None
    with cluster:
        yield cluster
