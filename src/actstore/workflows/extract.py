"""Extract: turn a recipe and a model into a complete store, or continue where an earlier run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.printable import printable
from actstore.access.scratch import sweep_scratch
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import ModelRecipe, Recipe
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import CorruptObjectError, UsageError
from actstore.extract.device import choose_device
from actstore.extract.model import load_model
from actstore.leaving import if_stopped
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import written_manifest
from actstore.store.read.place import check_new_place
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen, load_frozen_if_any
from actstore.store.write.part import refuse_part
from actstore.store.write.sequences import StoredSequences
from actstore.view.reports import ExtractReport, kept_tasks
from actstore.workflows.clusters.connect import Cluster, LocalWorkers, check_cluster, workers_of
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extraction.deadline import Interrupted, Stop
from actstore.workflows.extraction.executors import Executor, SerialExecutor, Tally
from actstore.workflows.extraction.plan import ExtractionPlan, plan_extraction, reopen, require_sequences
from actstore.workflows.extraction.runner import TaskRunner
from actstore.workflows.extraction.shares import Share
from actstore.workflows.extraction.sizes import check_room
from actstore.workflows.extraction.stored_model import load_stored_model, stored_model

__all__ = ["extract_on", "extract_store", "extract_with"]


@with_keyword_hints
def extract_store(
    recipe: Recipe | None,
    store: str,
    *,
    model: str | None = None,
    device: str = "auto",
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
    store, storage_options
        Path or URL of the store, and options of fsspec.
    model
        To continue a store: the folder or Hugging Face name that has its model now, if not the place it was begun with.
    device
        Where the model runs: `auto` (CUDA if PyTorch can use it, else the CPU), `cpu`, `cuda` or `cuda:N`.
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
    RecipeError, UsageError
        If the recipe has no sequences, only expected ones; both a recipe and `model` are given; or the place holds
        other files than a store, or lies in another store.
    CorpusError, ModelError, NumericsError, StoreError, WorkerError
        If the work fails; committed tasks stay good.
    """
    objects, progress, stop = open_objects(store, storage_options), progress or Silent(), stop or Stop()
    with if_stopped(lambda: f"{printable(objects.uri)}: tasks with a commit are kept; the same command continues"):
        device = _checked(recipe, model, cluster, device)
        sweep_scratch()
        load = partial(_load, place=model, device=device)
        begin = partial(_begin, objects, recipe, load, storage_options=storage_options, progress=progress, stop=stop)
        if cluster is None:
            begun = begin()
            return _extract_here(objects, begun, progress, share, stop) if isinstance(begun, _Begun) else begun
        asked = _stored_model(objects, model, stop) if recipe is None else _pinned(recipe.model, begin())
        if isinstance(asked, ExtractReport):
            return asked
        order = WorkOrder(store, storage_options, asked, device)
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
    refuse_part(frozen.part, uri=objects.uri)
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
    load: Callable[[Recipe | FrozenRecipe], ActivationModel],
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
            if recipe is not None:
                check_new_place(objects)
            objects.sweep(large=LARGE_OBJECTS)
            if recipe is None:
                frozen = load_frozen(objects)
                refuse_part(frozen.part, uri=objects.uri)
                model = load(frozen)
                return _Begun(reopen(objects, frozen, model), model)
            model = load(recipe)
            plan = plan_extraction(objects, recipe, model, storage_options=storage_options, progress=progress)
            return _Begun(plan, model)
    except Interrupted:
        return _stopped_early(objects, stop)


def _checked(recipe: Recipe | None, model: str | None, cluster: Cluster | None, device: str) -> str:
    """Refuse what cannot be done, before anything is; return the device, which local workers share."""
    if recipe is not None and model is not None:
        raise UsageError(f"model = {model!r} beside a recipe, which names its own: set model.name there")
    if isinstance(cluster, LocalWorkers):
        device = choose_device(device)
    if cluster is not None and recipe is not None:
        check_cluster(cluster)  # first: beginning the store may take hours
    return device


def _pinned(asked: ModelRecipe, begun: _Begun | ExtractReport) -> ModelRecipe | ExtractReport:
    """Return the model that began a store at its commit, or at the absolute path of its folder: for workers elsewhere.

    The loaded model is forgotten, since its memory is for the workers.
    """
    if isinstance(begun, ExtractReport):
        return begun
    facts = begun.model.facts
    return asked.model_copy(update={"name": facts.name, "revision": facts.revision})


def _load(asked: Recipe | FrozenRecipe, *, place: str | None, device: str) -> ActivationModel:
    """Load the model of a recipe, or that of the store to continue."""
    if isinstance(asked, FrozenRecipe):
        return load_stored_model(asked, stored_model(asked, place), device=device)
    return load_model(asked.model, asked.sites, device=device)


def _stored_model(objects: ObjectStore, place: str | None, stop: Stop) -> ModelRecipe | ExtractReport:
    """Return the model of the store to continue; a report if the run was told to stop meanwhile."""
    try:
        with stop.interruptible():
            objects.sweep(large=LARGE_OBJECTS)
            return stored_model(load_frozen(objects), place)
    except Interrupted:
        return _stopped_early(objects, stop)


def _extract_here(
    objects: ObjectStore, begun: _Begun, progress: Progress, share: Share | None, stop: Stop
) -> ExtractReport:
    """Do the tasks in this process."""
    plan, model = begun.plan, begun.model

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
            with (
                if_stopped(lambda: kept_tasks(objects.uri, done=len(before) + tally.tasks, total=frozen.tasks)),
                executor(len(before)) as each,
            ):
                each.run(missing, stop=stop, tally=tally)
            objects.sweep(large=LARGE_OBJECTS)  # a worker may have died in the middle of a write
    seconds = time.perf_counter() - started_s
    after = _committed(objects, frozen)
    left = frozen.tasks - len(after)
    manifest = None if left else _manifest(objects, progress, stop)
    return ExtractReport(
        uri=objects.uri,
        manifest_sha256=None if manifest is None else manifest.digest,
        rows=frozen.rows,
        tasks_total=frozen.tasks,
        tasks_before=len(before),
        tasks_done=len(after),
        tasks_left=left,
        complete=manifest is not None,
        stopped=stop.reason if set(missing) - after or (manifest is None and not left) else None,
        workers=tally.workers,
        rows_extracted=tally.rows,
        seconds=seconds,
        rows_per_s=tally.rows / seconds if seconds else 0.0,
    )


def _manifest(objects: ObjectStore, progress: Progress, stop: Stop) -> Manifest | None:
    """Write the manifest; return None if a signal stops that.

    A run that was told to stop while it finished its last task still writes it, if it can in time.
    """
    if stop.must_drop():
        return write_manifest(objects, progress=progress)
    try:
        with stop.interruptible():
            return write_manifest(objects, progress=progress)
    except Interrupted:
        return None


def _committed(objects: ObjectStore, frozen: FrozenRecipe) -> set[int]:
    done = committed_tasks(objects)
    if foreign := sorted(task for task in done if task >= frozen.tasks):
        raise CorruptObjectError(
            f"{objects.uri}: a commit of task {foreign[0]}, but the recipe has {frozen.tasks} tasks; "
            "remove it, or extract to another place"
        )
    return done


def _stopped_early(objects: ObjectStore, stop: Stop) -> ExtractReport:
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
        stopped=stop.reason if manifest is None else None,
        workers=0,
        rows_extracted=0,
        seconds=0.0,
        rows_per_s=0.0,
    )
