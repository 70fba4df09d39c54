"""Extract: turn a recipe and a model into a complete store, or continue where an earlier run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import CorruptObjectError
from actstore.extract.model import load_model
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.open import written_manifest
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen, load_frozen_if_any
from actstore.store.write.sequences import StoredSequences
from actstore.view.reports import ExtractReport
from actstore.workflows.clusters.connect import Cluster, LocalWorkers, check_cluster, workers_of
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extraction.deadline import Interrupted, Stop
from actstore.workflows.extraction.executors import Executor, SerialExecutor, Tally
from actstore.workflows.extraction.plan import ExtractionPlan, plan_extraction, reopen, require_sequences
from actstore.workflows.extraction.runner import TaskRunner
from actstore.workflows.extraction.shares import Share
from actstore.workflows.extraction.sizes import check_room

__all__ = ["extract_on", "extract_store", "extract_with"]


@with_keyword_hints
def extract_store(
    recipe: Recipe | None,
    store: str,
    *,
    device: str = "cpu",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    share: Share | None = None,
    stop: Stop | None = None,
) -> ExtractReport:
    """Extract a store; skip tasks that are already committed.

    Any number of processes may work on one store. The process that finds all tasks committed writes the manifest.

    Parameters
    ----------
    recipe
        What to extract; None continues the store with the recipe that is frozen in it, from its own sequences.
    store
        Path or URL of the store.
    device
        Where the model runs: `cpu`, `cuda`, `cuda:1`.
    storage_options
        Passed to fsspec.
    progress
        Where to report.
    cluster
        Workers that do the tasks; None for this process. This process begins a new store in any case.
    share
        Which tasks to do; None for all.
    stop
        When to stop before the end.

    Raises
    ------
    RecipeChangedError
        If the store was made with another recipe; the message lists the differences.
    RecipeError
        If the recipe has no sequences, only expected ones.
    CorpusError, ModelError, NumericsError, StoreError, WorkerError
        If the work fails; committed tasks stay good.
    """
    objects = open_objects(store, storage_options)
    progress, stop = progress or Silent(), stop or Stop()
    if cluster is not None and recipe is not None:
        check_cluster(cluster)  # first: beginning the store may take hours
    if cluster is None or recipe is not None:
        load = partial(_load, device=device)
        begun = _begin(objects, recipe, load, storage_options=storage_options, progress=progress, stop=stop)
        if not isinstance(begun, _Begun):
            return begun
        if cluster is None:
            return _extract_here(objects, begun, progress, share, stop)
        del begun  # the memory of its model is for the workers
    asked = _asked(objects, recipe, stop)
    if isinstance(asked, ExtractReport):
        return asked
    order = WorkOrder(store, storage_options, asked.model, device)
    return extract_on(cluster, objects, order=order, progress=progress, share=share, stop=stop)


def extract_on(
    cluster: Cluster,
    objects: ObjectStore,
    *,
    order: WorkOrder,
    progress: Progress | None = None,
    share: Share | None = None,
    stop: Stop | None = None,
) -> ExtractReport:
    """Do the tasks of a begun store on the workers of a cluster; see `extract_store`."""
    frozen = load_frozen(objects)
    processes = cluster.workers if isinstance(cluster, LocalWorkers) else 0

    @contextmanager
    def executor(tasks_done: int) -> Iterator[Executor]:
        rows_elsewhere = order.device.startswith("cuda")
        check_room(objects, frozen, tasks_done=tasks_done, processes=processes, rows_elsewhere=rows_elsewhere)
        with workers_of(cluster, order, recipe_sha256=frozen.digest) as workers:
            yield workers

    return _do_tasks(
        objects,
        frozen,
        executor,
        progress=progress or Silent(),
        share=share,
        stop=stop or Stop(),
    )


def extract_with(
    model: ActivationModel,
    objects: ObjectStore,
    recipe: Recipe | None,
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    share: Share | None = None,
    stop: Stop | None = None,
) -> ExtractReport:
    """Extract in this process with a model that is loaded already; see `extract_store`."""
    progress, stop = progress or Silent(), stop or Stop()
    begun = _begin(objects, recipe, lambda _asked: model, storage_options=storage_options, progress=progress, stop=stop)
    return _extract_here(objects, begun, progress, share, stop) if isinstance(begun, _Begun) else begun


class _Begun(NamedTuple):
    """A store whose tasks can be done, and the model for them."""

    plan: ExtractionPlan
    model: ActivationModel


def _begin(
    objects: ObjectStore,
    recipe: Recipe | None,
    load: Callable[[Recipe], ActivationModel],
    *,
    storage_options: Mapping[str, Any] | None,
    progress: Progress,
    stop: Stop,
) -> _Begun | ExtractReport:
    """Load the model and begin or continue the store; return a report if the run was told to stop meanwhile."""
    if recipe is not None:
        require_sequences(recipe)  # before a model is loaded or anything is written
    try:
        with stop.interruptible():
            objects.sweep(large=LARGE_OBJECTS)
            if recipe is None:
                frozen = load_frozen(objects)
                model = load(frozen.recipe)
                return _Begun(reopen(objects, frozen, model), model)
            model = load(recipe)
            plan = plan_extraction(objects, recipe, model, storage_options=storage_options, progress=progress)
            return _Begun(plan, model)
    except Interrupted:
        return _stopped_early(objects)


def _load(recipe: Recipe, *, device: str) -> ActivationModel:
    return load_model(recipe.model, recipe.sites, device=device)


def _asked(objects: ObjectStore, recipe: Recipe | None, stop: Stop) -> Recipe | ExtractReport:
    """Return the recipe, or that of the store to continue; a report if the run was told to stop meanwhile."""
    if recipe is not None:
        return recipe
    try:
        with stop.interruptible():
            objects.sweep(large=LARGE_OBJECTS)
            return load_frozen(objects).recipe
    except Interrupted:
        return _stopped_early(objects)


def _extract_here(
    objects: ObjectStore, begun: _Begun, progress: Progress, share: Share | None, stop: Stop
) -> ExtractReport:
    """Do the tasks in this process."""
    plan, model = begun

    @contextmanager
    def executor(tasks_done: int) -> Iterator[Executor]:
        rows_elsewhere = model.device_rows is not None
        check_room(objects, plan.frozen, tasks_done=tasks_done, rows_elsewhere=rows_elsewhere)
        with StoredSequences(objects) as source, TaskRunner(plan, source, model, objects) as runner:
            yield SerialExecutor(runner, objects)

    return _do_tasks(objects, plan.frozen, executor, progress=progress, share=share, stop=stop)


def _do_tasks(
    objects: ObjectStore,
    frozen: FrozenRecipe,
    executor: Callable[[int], AbstractContextManager[Executor]],
    *,
    progress: Progress,
    share: Share | None,
    stop: Stop,
) -> ExtractReport:
    """Do the tasks without a commit; write the manifest if no task is left.

    `executor` is called with the number of tasks done; it is not called if none is missing.
    """
    before = _committed(objects, frozen)
    own = [task for task in range(frozen.tasks) if share is None or task in share]
    missing = [task for task in own if task not in before]
    total = sum(map(frozen.rows_of, own))
    done = total - sum(map(frozen.rows_of, missing))
    started_s = time.perf_counter()
    with progress.stage("extracting", total=total, unit="rows", done=done) as stage:
        tally = Tally(frozen, stage)
        if missing and stop.may_begin():
            with executor(len(before)) as each:
                each.run(missing, stop=stop, tally=tally)
    seconds = time.perf_counter() - started_s
    after = _committed(objects, frozen)
    manifest = write_manifest(objects, progress=progress) if len(after) == frozen.tasks else None
    return ExtractReport(
        uri=objects.uri,
        manifest_sha256=None if manifest is None else manifest.digest,
        rows=frozen.rows,
        tasks_total=frozen.tasks,
        tasks_before=len(before),
        tasks_done=len(after),
        tasks_left=frozen.tasks - len(after),
        complete=manifest is not None,
        stopped=stop.reason if set(missing) - after else None,
        workers=tally.workers,
        rows_extracted=tally.rows,
        seconds=seconds,
        rows_per_s=tally.rows / seconds if seconds else 0.0,
    )


def _committed(objects: ObjectStore, frozen: FrozenRecipe) -> set[int]:
    done = committed_tasks(objects)
    if foreign := sorted(task for task in done if task >= frozen.tasks):
        raise CorruptObjectError(
            f"{objects.uri}: a commit of task {foreign[0]}, but the recipe has {frozen.tasks} tasks; "
            "remove it, or extract to another place"
        )
    return done


def _stopped_early(objects: ObjectStore) -> ExtractReport:
    """Report a run that was told to stop before the first task."""
    frozen = load_frozen_if_any(objects)
    done = set() if frozen is None else _committed(objects, frozen)
    left = 0 if frozen is None else frozen.tasks - len(done)
    manifest = None if left else written_manifest(objects)
    return ExtractReport(
        uri=objects.uri,
        manifest_sha256=None if manifest is None else manifest.digest,
        rows=0 if frozen is None else frozen.rows,
        tasks_total=0 if frozen is None else frozen.tasks,
        tasks_before=len(done),
        tasks_done=len(done),
        tasks_left=left,
        complete=manifest is not None,
        stopped="signal" if manifest is None else None,
        workers=0,
        rows_extracted=0,
        seconds=0.0,
        rows_per_s=0.0,
    )
