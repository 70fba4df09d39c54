"""Put a damaged task right: its objects back as its commit says, or task and commit anew."""

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
    """Make a store hold a task that was extracted again.

    At every moment a reader finds damage, no commit, or good data: where the commit stays, nothing is written but the
    bytes it names; where it does not, it is removed before the first object is touched and created after the last.

    Parameters
    ----------
    objects, frozen
        The store.
    task
        Which task.
    shards
        Path to content of each of its objects, encoded anew.
    named
        SHA-256 of its commit in the manifest; None if the manifest does not say.
    rewrite
        Accept other bytes than those that were lost.

    Returns
    -------
    tuple of str
        Objects that were written or removed; empty if everything was as it should be.

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
            "software (named in recipe.json) and the kind of processor it was extracted with, or accept the new bytes "
            "with --rewrite: manifests that were exported before will then refuse the store"
        )
    if stored == fresh:
        for path in damaged:
            objects.put(path, shards[path].data)
        return tuple(damaged)
    objects.delete(commit_path(task))
    publish_task(objects, fresh, shards)
    return (*damaged, commit_path(task))


def _is_what_was_lost(fresh: Commit, stored: Commit | None, damaged: list[str], named: str | None) -> bool:
    """Return whether nothing says that the task was committed with other bytes."""
    if stored == fresh or named == sha256_hex(fresh.to_json()):
        return True
    if named is not None:
        return False
    if stored is None:
        return True
    # An edited commit contradicts objects that come out as they are stored; one of other bytes does not.
    return all(path not in damaged or stored.objects[path] == wanted for path, wanted in fresh.objects.items())


def _stored_commit(objects: ObjectStore, frozen: FrozenRecipe, task: int) -> Commit | None:
    """Return the commit that is there if it is one of this task under this recipe."""
    with suppress(MissingObjectError, CorruptObjectError):
        commit = load_commit(objects, task)
        if next(commit_problems(commit, frozen, frozen.task_arrays), None) is None:
            return commit
    return None


def _is_there(objects: ObjectStore, path: str, data: bytes) -> bool:
    """Return whether an object has these bytes, without reading more of it than they are."""
    with suppress(MissingObjectError, CorruptObjectError):
        return objects.get_range(path, 0, len(data) + 1) == data
    return False
