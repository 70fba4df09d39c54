"""Restore a damaged task: its objects as its commit names them, or task and commit again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from actstore.access.objects import ObjectStore
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.layout import commit_path
from actstore.store.format.shard import Shard
from actstore.store.read.assemble_manifest import commit_problems
from actstore.store.write.commit import Commit, load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.writer import commit_of, publish_task

__all__ = ["restore_task"]


def restore_task(
    objects: ObjectStore,
    frozen: FrozenRecipe,
    task: int,
    shards: Mapping[str, Shard],
    *,
    named: str | None,
    rewrite: bool,
) -> tuple[str, ...]:
    """Write a task that was extracted again to its store.

    At every moment a reader finds damage, no commit, or correct data. If the commit stays, only the bytes it names are
    written. Otherwise it is removed before the first object is changed and created after the last.

    Parameters
    ----------
    objects, frozen
        The store.
    task
        Which task.
    shards
        Path to content of each of its objects, encoded again.
    named
        SHA-256 of its commit in the manifest; None if the manifest does not have it.
    rewrite
        Accept other bytes than those that were lost.

    Returns
    -------
    tuple of str
        Objects that were written or removed; empty if everything was right.

    Raises
    ------
    CorruptObjectError
        If the bytes are not those that manifest or commit name, and `rewrite` is not set. Nothing was written then.
    """
    fresh = commit_of(frozen, task, shards)
    stored = _stored_commit(objects, frozen, task)
    damaged = [path for path, shard in shards.items() if not _is_there(objects, path, shard.data)]
    if not rewrite and not _is_what_was_lost(fresh, stored, damaged, named):
        raise CorruptObjectError(
            f"{objects.uri}: task {task} comes out with other bytes than it was committed with; repair it with the "
            "software (named in recipe.json) and the kind of processor (--device) it was extracted with, or accept the "
            "new bytes with --rewrite: manifests that were exported before will then refuse the store"
        )
    if stored == fresh:
        for path in damaged:
            objects.put(path, shards[path].data)
        return tuple(damaged)
    objects.delete(commit_path(task))
    publish_task(objects, fresh, shards)
    return (*damaged, commit_path(task))


def _is_what_was_lost(fresh: Commit, stored: Commit | None, damaged: list[str], named: str | None) -> bool:
    """Return whether no document says that the task was committed with other bytes."""
    if stored == fresh or named == sha256_hex(fresh.to_json()):
        return True
    if named is not None:
        return False
    if stored is None:
        return True
    # An edited commit contradicts objects whose new bytes equal the stored ones; a commit of other bytes does not.
    return all(path not in damaged or stored.objects[path] == wanted for path, wanted in fresh.objects.items())


def _stored_commit(objects: ObjectStore, frozen: FrozenRecipe, task: int) -> Commit | None:
    """Return the stored commit if it belongs to this task under this recipe."""
    with suppress(MissingObjectError, CorruptObjectError):
        commit = load_commit(objects, task)
        if next(commit_problems(commit, frozen), None) is None:
            return commit
    return None


def _is_there(objects: ObjectStore, path: str, data: bytes) -> bool:
    """Return whether an object has these bytes; reads at most one byte more."""
    with suppress(MissingObjectError, CorruptObjectError):
        return objects.get_range(path, 0, len(data) + 1) == data
    return False
