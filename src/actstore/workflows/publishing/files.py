"""Which files a published store has, with their sizes and digests, and checked copies of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple

from actstore.access.local import LocalObjects
from actstore.access.objects import ObjectStore
from actstore.access.read_ahead import map_ahead
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import read_document
from actstore.store.format.layout import RECIPE, SEQUENCES, commit_path
from actstore.store.read.assemble_manifest import commit_problems
from actstore.store.read.inventory import Inventory
from actstore.store.read.manifest import Manifest
from actstore.store.write.commit import load_commit

__all__ = ["PublishedFile", "checked_copy", "store_files"]

_BLOCK_BYTES: Final = 8 << 20


class PublishedFile(NamedTuple):
    """A file of the repository."""

    path: str
    size: int
    sha256: str


def store_files(objects: ObjectStore, manifest: Manifest) -> Iterator[PublishedFile]:
    """Yield the objects of a store as its manifest and commits name them, tasks first; without `manifest.json`.

    Raises
    ------
    UsageError
        If the manifest describes a part of a larger store.
    CorruptObjectError
        If a commit differs from the manifest, or contradicts the recipe.
    """
    frozen = manifest.frozen
    arrays, recipe = frozen.task_arrays, frozen.to_json()
    if frozen.part is not None and read_document(objects, RECIPE) != recipe:
        raise UsageError(
            f"{objects.uri}: the manifest describes a part of this store; publish a copy of the part ('actstore copy')"
        )

    def of_task(task: int) -> list[PublishedFile]:
        commit = load_commit(objects, task, sha256=manifest.commits[task])
        if problem := next(commit_problems(commit, frozen), None):
            raise CorruptObjectError(f"{objects.uri}: the commit of task {task} {problem}")
        stored = {spec.object_path(task): commit.objects[spec.object_path(task)] for spec in arrays}
        files = [PublishedFile(path, one.size, one.sha256) for path, one in stored.items()]
        document = commit.to_json()
        return [*files, PublishedFile(commit_path(task), len(document), sha256_hex(document))]

    done = [task for task, commit in enumerate(manifest.commits) if commit is not None]
    for files in map_ahead(of_task, done):
        yield from files
    yield PublishedFile(RECIPE, len(recipe), sha256_hex(recipe))
    for path in sorted(Inventory.of(frozen).metadata | {SEQUENCES}):
        with objects.open(path) as file:
            size = file.seek(0, io.SEEK_END)
        yield PublishedFile(path, size, manifest.metadata[path])


def checked_copy(objects: ObjectStore, file: PublishedFile, spool: Path) -> Path:
    """Read an object, compare it with its digest, and return where its bytes are.

    Parameters
    ----------
    objects
        The store. Its files are used where they are on a local disk; other objects are copied.
    file
        What its commit or the manifest says.
    spool
        File for the copy.

    Raises
    ------
    CorruptObjectError
        If it has other bytes.
    """
    is_local = isinstance(objects, LocalObjects)
    digest = hashlib.sha256()
    with objects.open(file.path) as source, nullcontext() if is_local else spool.open("xb") as copy:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            if copy is not None:
                copy.write(block)
    if digest.hexdigest() != file.sha256:
        raise CorruptObjectError(
            f"{objects.uri}: {file.path} has sha256 {digest.hexdigest()[:12]}..., its commit or the manifest says "
            f"{file.sha256[:12]}...; it is not published: repair the store first ('actstore repair {objects.uri}')"
        )
    return Path(objects.uri) / file.path if is_local else spool
