"""Copy a store, or a part of it, to another place; every byte is compared with its digest before it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.access.read_ahead import REQUESTS, map_ahead
from actstore.access.scratch import scratch_folder
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.care.compare import compare_object, compare_sha256
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import MOST_METADATA_BYTES, read_document
from actstore.store.format.layout import LAST_ARRAY, RECIPE, SEQUENCES, ArraySpec, commit_path
from actstore.store.read.manifest import Manifest
from actstore.store.write.commit import Commit, StoredObject, load_commit
from actstore.store.write.freeze import has_sequences
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.sequences import file_sha256, most_file_bytes

__all__ = ["Copied", "begin_copy", "copy_tasks"]

_MOST_IN_FLIGHT_BYTES: Final = 512 << 20
"""Memory for objects that were read and are not written yet."""
_BLOCK_BYTES: Final = 1 << 22
_DAMAGED: Final = "{uri}: {path} does not have the sha256 that the store says; find all damage with 'actstore verify'"


class Copied(NamedTuple):
    """What was written."""

    objects: int
    bytes: int


def begin_copy(
    source: ObjectStore, destination: ObjectStore, manifest: Manifest, frozen: FrozenRecipe, *, check: bool
) -> None:
    """Write the recipe, the sequences and the Zarr metadata, unless they are there.

    Parameters
    ----------
    source, manifest
        The store.
    destination, frozen
        Where the copy is or will be, and its recipe.
    check
        Whether to read what is there, and to replace what is damaged.

    Raises
    ------
    UsageError
        If there is another store, or another part of this one.
    MissingObjectError, CorruptObjectError
        If an object of the source is lost or damaged.
    """
    if not destination.put_new(RECIPE, frozen.to_json()):
        found = load_frozen(destination)
        if found != frozen:
            if found.digest != frozen.digest:
                raise UsageError(f"{destination.uri} is a copy of another store; copy to another place")
            raise UsageError(
                f"{destination.uri} is a copy of another part of this store: {_described(found)}; choose the same to "
                "continue it, or copy to another place"
            )
    most = most_file_bytes(frozen.corpus.sequences)
    if not has_sequences(destination) or (
        check and compare_sha256(destination, SEQUENCES, frozen.sequences_sha256, most_bytes=most) is not None
    ):
        _copy_sequences(source, destination, frozen.sequences_sha256, most_bytes=most)
    for path in frozen.metadata_paths:
        data = read_document(source, path, most_bytes=MOST_METADATA_BYTES)
        if sha256_hex(data) != manifest.metadata[path]:
            raise CorruptObjectError(_DAMAGED.format(uri=source.uri, path=path))
        if not destination.put_new(path, data) and check and destination.get(path) != data:
            destination.put(path, data)


def _described(frozen: FrozenRecipe) -> str:
    """Say which sites and tasks a part has."""
    sites = printable(", ".join(site.name for site in frozen.sites_here))
    here = (f"{name} {split.tasks:,} of {frozen.splits[name].tasks:,}" for name, split in frozen.splits_here.items())
    return f"sites {sites}; tasks {', '.join(here)}"


def copy_tasks(
    source: ObjectStore,
    destination: ObjectStore,
    manifest: Manifest,
    frozen: FrozenRecipe,
    *,
    tasks: Collection[int],
    check: bool,
    progress: Progress,
) -> Copied:
    """Copy the objects of tasks and then their commits, many objects at a time.

    Parameters
    ----------
    source, manifest
        The store.
    destination, frozen
        Where the copy is, and its recipe.
    tasks
        Which tasks; each has a commit in the manifest.
    check
        Whether to read what is there, and to write only what is missing or differs.
    progress
        Where to report.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        If an object of the source is lost or damaged. Tasks that were copied before stay good.
    """
    arrays = sorted(frozen.task_arrays, key=lambda spec: spec.path == LAST_ARRAY)
    items = (item for task in sorted(tasks) for item in _items(source, manifest, arrays, task))
    written = Copied(0, 0)

    def copy(item: _Item) -> tuple[_Item, int]:
        path = item.spec.object_path(item.commit.task)
        if check and compare_object(destination, item.spec, item.commit.task, item.stored) is None:
            return item, 0
        data = source.get_range(path, 0, item.stored.size + 1)
        if len(data) != item.stored.size or sha256_hex(data) != item.stored.sha256:
            raise CorruptObjectError(_DAMAGED.format(uri=source.uri, path=path))
        destination.put(path, data)
        return item, len(data)

    largest = max(spec.row_bytes * spec.shard[0] for spec in arrays)
    threads = min(max(_MOST_IN_FLIGHT_BYTES // (2 * largest), 1), REQUESTS)
    with progress.stage("copying", total=len(tasks) * len(arrays), unit="objects") as stage:
        for item, size in map_ahead(copy, items, threads=threads):
            written = Copied(written.objects + (size > 0), written.bytes + size)
            stage.advance(1)
            if item.spec is arrays[-1]:  # results come in order, so all objects of the task are there
                _commit(destination, item.commit)
    return written


class _Item(NamedTuple):
    """An object to copy."""

    commit: Commit
    spec: ArraySpec
    stored: StoredObject


def _items(source: ObjectStore, manifest: Manifest, arrays: Sequence[ArraySpec], task: int) -> Iterator[_Item]:
    """Read the commit of a task, and yield its objects of some arrays."""
    commit = load_commit(source, task, sha256=manifest.commits[task])
    for spec in arrays:
        path = spec.object_path(task)
        if path not in commit.objects:
            raise CorruptObjectError(_DAMAGED.format(uri=source.uri, path=commit_path(task)))
        yield _Item(commit, spec, commit.objects[path])


def _commit(destination: ObjectStore, commit: Commit) -> None:
    """Write a commit, or put it back if it was damaged."""
    path, data = commit_path(commit.task), commit.to_json()
    if not destination.put_new(path, data) and read_document(destination, path) != data:
        destination.put(path, data)


def _copy_sequences(source: ObjectStore, destination: ObjectStore, sha256: str, *, most_bytes: int) -> None:
    """Copy the sequences, which may be larger than memory, through a local file."""
    with scratch_folder("copy") as folder:
        local = folder / SEQUENCES
        with source.open(SEQUENCES) as file, local.open("wb") as copy:
            while (block := file.read(_BLOCK_BYTES)) and copy.tell() <= most_bytes:
                copy.write(block)
        if file_sha256(local) != sha256:
            raise CorruptObjectError(_DAMAGED.format(uri=source.uri, path=SEQUENCES))
        destination.put_file(SEQUENCES, local)
