"""Collect garbage: leftovers that are not part of a store and are too old to belong to a running extraction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.printable import printable
from actstore.access.scratch import left_scratch, sweep_scratch
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import ManifestError, MissingObjectError, StoreError, UsageError
from actstore.leaving import if_stopped
from actstore.store.format.documents import read_document
from actstore.store.format.layout import LARGE_OBJECTS, MANIFEST, RECIPE
from actstore.store.read.inventory import Inventory, is_below, is_name_of_store, other_stores
from actstore.store.read.manifest import parse_manifest
from actstore.store.read.open import open_store_objects
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.view.care_reports import Garbage, GarbageReport

__all__ = ["DEFAULT_OLDER_THAN_S", "collect_garbage"]

DEFAULT_OLDER_THAN_S: Final = 86_400.0
"""Far longer than any task takes from its first object to its commit."""


@with_keyword_hints
def collect_garbage(
    store: str,
    *,
    delete: bool = False,
    older_than_s: float = DEFAULT_OLDER_THAN_S,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> GarbageReport:
    """List leftovers of interrupted writers, also in the temporary directory, and foreign files; remove old leftovers.

    Foreign files, whose names actstore does not give, are never removed. Objects of a task are never garbage if it has
    a commit, sound or not, or if the manifest names it. Neither are objects in a folder that is itself a store, nor
    what lies behind a symbolic link.

    Parameters
    ----------
    store
        Path or URL of the store.
    delete
        Remove the old leftovers.
    older_than_s
        The grace time. If it is shorter than a task takes, run this only while no extraction runs.
    storage_options, progress
        Passed to fsspec; where to report.

    Raises
    ------
    StoreNotFoundError
        If there is no store at all.
    CorruptObjectError, ManifestError
        If recipe or manifest are damaged: what belongs to the store is then unknown.
    StoreError
        If a link lies in the place of unfinished writes, or a broken one in that of the commits.
    UsageError
        If the grace time is negative.
    """
    if not older_than_s >= 0:
        raise UsageError(f"older_than_s must be at least 0, not {older_than_s}")
    objects = open_store_objects(store, storage_options)
    frozen = _sound_recipe(objects)
    found, others = _find(objects, frozen)
    ours = [one for one in found if is_name_of_store(one.object)]
    old = [one for one in ours if one.age_s is not None and one.age_s >= older_than_s]
    recent = [one for one in ours if one.age_s is None or one.age_s < older_than_s]
    temporary = tuple(map(str, left_scratch()))
    if delete:
        with if_stopped(lambda: f"{printable(objects.uri)}: what is removed stays removed; the same command continues"):
            _remove(objects, old, Inventory.of(frozen), progress or Silent())
    return GarbageReport(
        uri=objects.uri,
        garbage=tuple(old),
        bytes=sum(one.bytes for one in old),
        recent=tuple(recent),
        recent_bytes=sum(one.bytes for one in recent),
        older_than_s=older_than_s,
        deleted=delete,
        other_stores=others,
        foreign=tuple(one for one in found if not is_name_of_store(one.object)),
        temporary=temporary,
    )


def _find(objects: ObjectStore, frozen: FrozenRecipe) -> tuple[list[Garbage], tuple[str, ...]]:
    """Return what is not part of a store, and the folders of other stores below it."""
    # Read times, then names, then commits: a task committed in between is not garbage.
    written = objects.modified()
    sizes = objects.sizes()
    named = committed_tasks(objects) | _tasks_of_manifest(objects, frozen)
    now = time.time()
    others = other_stores(sizes)
    ours = {path: size for path, size in sizes.items() if not is_below(path, others)}
    unnamed = [_explained(objects, one) for one in _unnamed(ours, written, Inventory.of(frozen), named, now)]
    return [*unnamed, *_interrupted(objects, now)], others


def _sound_recipe(objects: ObjectStore) -> FrozenRecipe:
    frozen = load_frozen(objects)
    if read_document(objects, RECIPE) != frozen.to_json():
        raise StoreError(f"{objects.uri}: {RECIPE} was edited; run 'actstore repair URI' first")
    return frozen


def _tasks_of_manifest(objects: ObjectStore, frozen: FrozenRecipe) -> set[int]:
    """Return the tasks that the manifest names: even if a commit is lost, its objects may be good."""
    try:
        manifest = parse_manifest(read_document(objects, MANIFEST), name=f"{objects.uri}/{MANIFEST}")
    except MissingObjectError:
        return set()
    if manifest.recipe_sha256 != frozen.digest:
        raise ManifestError(f"{objects.uri}: {MANIFEST} belongs to another recipe; run 'actstore repair URI' first")
    return {task for task, commit in enumerate(manifest.commits) if commit is not None}


def _unnamed(
    sizes: Mapping[str, int], written: Mapping[str, float], inventory: Inventory, named: set[int], now: float
) -> Iterator[Garbage]:
    for path, size in sorted(sizes.items()):
        reason = inventory.why_unnamed(path, named)
        if reason is not None:
            yield Garbage(path, size, now - written[path] if path in written else None, reason)


def _explained(objects: ObjectStore, found: Garbage) -> Garbage:
    """Return what was found; of a symbolic link to nowhere or in a circle, with that as the reason."""
    if isinstance(objects, LocalObjects):
        place = objects.local_path(found.object)
        if place.is_symlink() and not place.exists():
            return found._replace(reason="a symbolic link that leads nowhere")
    return found


def _interrupted(objects: ObjectStore, now: float) -> Iterator[Garbage]:
    """Yield unfinished writes, and what lies beside them. Those in object storage cannot be listed, only swept."""
    if isinstance(objects, LocalObjects):
        for path, status in sorted(objects.unfinished().items()):
            reason = "a write that was not finished" if is_name_of_store(path) else "no writer gives this name"
            yield Garbage(path, status.st_size, now - status.st_mtime, reason)


def _remove(objects: ObjectStore, garbage: list[Garbage], inventory: Inventory, progress: Progress) -> None:
    """Remove objects; those of a task only if it still has no commit.

    Raises
    ------
    StoreError
        If a task was committed while its leftovers were being removed.
    """
    objects.sweep(large=LARGE_OBJECTS)
    sweep_scratch()
    by_task: dict[int | None, list[str]] = {}
    for one in garbage:
        by_task.setdefault(inventory.task_of(one.object), []).append(one.object)
    touched: set[int] = set()
    with progress.stage("removing", total=len(garbage), unit="objects") as stage:
        for task, paths in by_task.items():
            if task is None or task not in committed_tasks(objects):
                touched |= set() if task is None else {task}
                for path in paths:
                    objects.delete(path)
            stage.advance(len(paths))
    if isinstance(objects, LocalObjects):
        objects.remove_empty_folders(one.object for one in garbage)
    if lost := sorted(touched & committed_tasks(objects)):
        raise StoreError(
            f"{objects.uri}: task {lost[0]} was committed while its leftovers were removed; check and repair it with "
            f"'actstore repair URI --task {lost[0]}'"
        )
