"""Extract: turn a recipe and a model into a complete store, or continue where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from actstore.errors import UsageError
from actstore.extract.device import choose_device
from actstore.extract.model import load_model
from actstore.extract.task import ModelRows
from actstore.leaving import if_stopped
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.place import check_new_place
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.part import refuse_part
from actstore.store.write.sequences import StoredSequences
from actstore.view.reports import ExtractReport
from actstore.workflows.clusters.connect import Cluster, LocalWorkers, check_cluster, workers_of
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extraction.deadline import Interrupted, Stop
from actstore.workflows.extraction.executors import Executor, SerialExecutor
from actstore.workflows.extraction.missing_tasks import do_missing_tasks, stopped_early
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

    return do_missing_tasks(
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
        return stopped_early(objects, stop)


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
        return stopped_early(objects, stop)


def _extract_here(
    objects: ObjectStore, begun: _Begun, progress: Progress, share: Share | None, stop: Stop
) -> ExtractReport:
    """Do the tasks in this process."""
    plan, model = begun.plan, begun.model

    @contextmanager
    def executor(tasks_done: int) -> Iterator[Executor]:
        rows_elsewhere = model.device_rows is not None
        check_room(objects, plan.frozen, tasks_done=tasks_done, rows_elsewhere=rows_elsewhere)
        with StoredSequences(objects) as source:
            rows = ModelRows(source, model, plan.frozen.tokens_per_batch)
            with TaskRunner(plan, rows, objects) as runner:
                yield SerialExecutor(runner, objects)

    return do_missing_tasks(objects, plan.frozen, executor, progress=progress, share=share, stop=stop)
