"""Extract: recipe and model to a complete store, or on from wherever an earlier run stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from actstore.contracts.models import ActivationModel
from actstore.contracts.objects import ObjectStore
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError
from actstore.extract.model import load_model
from actstore.store.assemble import write_manifest
from actstore.store.commit import committed_tasks
from actstore.store.frozen import load_frozen
from actstore.store.manifest import Manifest
from actstore.store.objects import open_objects
from actstore.store.sequences import StoredSequences
from actstore.view.reports import ExtractReport
from actstore.workflows.prepare import prepare, reopen
from actstore.workflows.runner import TaskRunner

__all__ = ["extract_store", "extract_with"]


def extract_store(
    recipe: Recipe | None,
    store: str,
    *,
    device: str = "cpu",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExtractReport:
    """Extract a store; tasks that are committed already are not done again.

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

    Raises
    ------
    RecipeChangedError
        If the store was made with another recipe, with the differences.
    CorpusError, ModelError, NumericsError, StoreError
        Whatever stopped the work; what was committed stays good.
    """
    objects = open_objects(store, storage_options)
    asked = recipe if recipe is not None else load_frozen(objects).recipe
    model = load_model(asked.model, asked.sites, device=device)
    return extract_with(model, objects, recipe, storage_options=storage_options, progress=progress)


def extract_with(
    model: ActivationModel,
    objects: ObjectStore,
    recipe: Recipe | None,
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExtractReport:
    """Extract with a model that is loaded already; see `extract_store`."""
    progress = progress or Silent()
    objects.sweep()
    if recipe is None:
        prepared = reopen(objects, load_frozen(objects), model)
    else:
        prepared = prepare(objects, recipe, model, storage_options=storage_options, progress=progress)
    frozen = prepared.frozen
    done = committed_tasks(objects)
    if foreign := sorted(task for task in done if task >= frozen.tasks):
        raise CorruptObjectError(
            f"{objects.uri}: a commit of task {foreign[0]}, but the recipe has {frozen.tasks} tasks; "
            "remove it, or extract to another place"
        )
    missing = [task for task in range(frozen.tasks) if task not in done]
    rows_done = sum(frozen.rows_of(task) for task in done)
    started = time.perf_counter()
    with (
        StoredSequences(objects) as source,
        progress.stage("extracting", total=frozen.rows, unit="rows", done=rows_done) as stage,
        TaskRunner(prepared, source, model, objects) as runner,
    ):
        runner.run(missing, on_rows=stage.advance)
    seconds = time.perf_counter() - started
    manifest = write_manifest(objects, progress=progress)
    return _report(manifest, objects.uri, len(done), frozen.rows - rows_done, seconds)


def _report(manifest: Manifest, uri: str, before: int, rows: int, seconds: float) -> ExtractReport:
    return ExtractReport(
        uri=uri,
        manifest_sha256=manifest.digest,
        rows=manifest.rows,
        tasks_total=manifest.frozen.tasks,
        tasks_before=before,
        rows_extracted=rows,
        seconds=seconds,
        rows_per_s=rows / seconds if seconds else 0.0,
    )
