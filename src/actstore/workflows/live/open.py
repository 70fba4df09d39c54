"""Open a store, a manifest or a recipe as a source of rows that the model computes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.scratch import scratch_folder
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import ModelError, RecipeChangedError, UsageError
from actstore.extract.model import load_model
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import is_recipe, locate_store
from actstore.store.read.place import refuse_in_store
from actstore.workflows.care.recompute import local_model
from actstore.workflows.extraction.plan import plan_extraction, reopen, replan, require_sequences
from actstore.workflows.extraction.sizes import check_room
from actstore.workflows.live.source import LiveMode, LiveSource
from actstore.workflows.recipes import read_recipe

__all__ = ["live_over", "open_live"]


@with_keyword_hints
def open_live(
    source: str | os.PathLike[str],
    *,
    uri: str | None = None,
    mode: LiveMode = "online",
    model: str | None = None,
    device: str = "auto",
    recipe_options: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
    progress: Progress | None = None,
) -> LiveSource:
    """Open a source of streams whose rows the model computes.

    Parameters
    ----------
    source, uri
        Path or URL of a store, a manifest file (and where its store is, if not where it says), or a recipe (`.toml`).
    mode
        `online` computes all rows. `compute` computes the rows that the store lacks, and writes nothing. `store` also
        commits them to the store, and reads them from there afterwards.
    model
        Folder or Hugging Face name that has the model of the store now, if not the place it was extracted with; for a
        recipe, the model in place of its own.
    device
        Where the model runs: `auto` (CUDA if PyTorch can use it, else the CPU), `cpu`, `cuda` or `cuda:N`.
    recipe_options
        Values that take precedence over those of the recipe, by dotted key; see `read_recipe`.
    storage_options
        Passed to fsspec.
    cache, cache_bytes
        Folder for computed rows (None: memory), and most bytes to keep (None: 4 GiB). For a complete store: as in
        `open_stream`.
    progress
        Where to report.

    Raises
    ------
    ModelError
        If the model is not available, or would run code that came with the store.
    RecipeChangedError
        If the available model is not the one that the store was begun with.
    UsageError, StoreError, ManifestError, RecipeError, CorpusError
        If there is no such store or recipe, it cannot be used, or a local disk has too little room.
    """
    folder = _cache_folder(cache)
    given = {name: value for name, value in (recipe_options or {}).items() if value is not None}
    if mode == "online" and is_recipe(source):
        recipe = read_recipe(Path(source), options=given if model is None else given | {"model.name": model})
        return _from_recipe(
            recipe, str(source), device, storage_options, progress or Silent(), cache=folder, cache_bytes=cache_bytes
        )
    if given:
        raise UsageError(f"{source} is not a recipe, so {', '.join(given)} cannot be set: a store keeps its own")
    manifest, objects = locate_store(source, uri=uri, storage_options=storage_options)
    if mode != "online" and manifest.complete:
        return LiveSource(objects, manifest, None, None, mode=mode, cache=folder, cache_bytes=cache_bytes)
    loaded = _model_of(objects, manifest, place=model, device=device)
    return live_over(objects, manifest, loaded, mode=mode, cache=folder, cache_bytes=cache_bytes)


def live_over(
    objects: ObjectStore,
    manifest: Manifest,
    model: ActivationModel,
    *,
    mode: LiveMode,
    cache: Path | None = None,
    cache_bytes: int | None = None,
) -> LiveSource:
    """Open a store's source of streams with a model that is loaded already; see `open_live`."""
    if mode == "store":
        objects.sweep(large=LARGE_OBJECTS)
        check_room(objects, manifest.frozen, tasks_done=manifest.tasks_done)
    plan = (reopen if mode == "store" else replan)(objects, manifest.frozen, model)
    return LiveSource(objects, manifest, plan, model, mode=mode, cache=cache, cache_bytes=cache_bytes)


def _model_of(objects: ObjectStore, manifest: Manifest, *, place: str | None, device: str) -> ActivationModel:
    try:
        return local_model(manifest.frozen, place=place, device=device)
    except ModelError as error:
        raise ModelError(f"{objects.uri}: its rows cannot be computed here: {error}") from error
    except RecipeChangedError as error:
        raise RecipeChangedError(f"{objects.uri}: {error}") from error


def _from_recipe(
    recipe: Recipe,
    name: str,
    device: str,
    storage_options: Mapping[str, Any] | None,
    progress: Progress,
    *,
    cache: Path | None,
    cache_bytes: int | None,
) -> LiveSource:
    require_sequences(recipe)
    model = load_model(recipe.model, recipe.sites, device=device)
    with ExitStack() as stack:
        objects = LocalObjects(stack.enter_context(scratch_folder("online")))
        plan = plan_extraction(
            objects, recipe, model, storage_options=storage_options, progress=progress, keep_rows=False
        )
        manifest = assemble_manifest(objects)
        return LiveSource(
            objects,
            manifest,
            plan,
            model,
            mode="online",
            cache=cache,
            cache_bytes=cache_bytes,
            name=name,
            afterwards=stack.pop_all(),
        )


def _cache_folder(cache: str | os.PathLike[str] | None) -> Path | None:
    if cache is None:
        return None
    refuse_in_store(cache, "cache (--cache)")
    return Path(cache)
