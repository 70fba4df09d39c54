"""Commits to manifest: a pure function of the content of the store, independent of the runs that wrote it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.access.read_ahead import map_ahead
from actstore.contracts.progress import Progress, Silent
from actstore.errors import CorruptObjectError, IncompleteStoreError, MissingObjectError
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import MOST_METADATA_BYTES, read_document
from actstore.store.format.layout import (
    MANIFEST,
    RECIPE,
    SEQUENCES,
)
from actstore.store.format.shard import index_bytes
from actstore.store.plan.footprint import is_payload
from actstore.store.read.manifest import Manifest, StoredBytes
from actstore.store.write.commit import Commit, committed_tasks, load_commit, stored_problem
from actstore.store.write.freeze import metadata_objects, says_the_same
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.statistics import SiteStatistics, StatisticsMerger

__all__ = ["assemble_manifest", "commit_problems", "complete_manifest", "write_manifest"]

_MOST_LISTED: Final = 40


def write_manifest(objects: ObjectStore, *, progress: Progress | None = None) -> Manifest:
    """Assemble the manifest and write it into the store, unless the same one is there.

    Raises
    ------
    CorruptObjectError
        As `assemble_manifest`; also if Zarr metadata differ from those that the recipe implies.
    """
    manifest = assemble_manifest(objects, progress=progress)
    metadata = metadata_objects(manifest.frozen)
    stored = map_ahead(lambda path: read_document(objects, path, most_bytes=MOST_METADATA_BYTES), metadata)
    for (path, wanted), found in zip(metadata.items(), stored, strict=True):
        if not says_the_same(found, wanted):
            raise CorruptObjectError(
                f"{objects.uri}: {path} is not what the recipe implies; 'actstore repair URI' writes it again"
            )
    document = manifest.to_json(uri=None)
    if _stored(objects) != document:  # a finished store may lie on a disk that cannot be written
        objects.put(MANIFEST, document)
    return manifest


def _stored(objects: ObjectStore) -> bytes | None:
    try:
        return read_document(objects, MANIFEST)
    except (CorruptObjectError, MissingObjectError):
        return None


def complete_manifest(objects: ObjectStore, *, progress: Progress | None = None) -> None:
    """Write the manifest of a store that has all its commits, if it is missing; raises as `write_manifest`."""
    try:
        objects.get_range(MANIFEST, 0, 1)
    except MissingObjectError:
        write_manifest(objects, progress=progress)


def assemble_manifest(
    objects: ObjectStore,
    *,
    frozen: FrozenRecipe | None = None,
    statistics: Mapping[str, SiteStatistics] | None = None,
    tasks: Collection[int] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Read the commits of a store and return a manifest of its present state.

    Parameters
    ----------
    objects
        The store.
    frozen
        Its recipe, or that of a part of it; None for the recipe that is there.
    statistics, tasks
        Of its rows, and those with a commit, if they are known; else they are read.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError, IncompleteStoreError
        If there is no store, or it is being set up.
    CorruptObjectError
        If a commit or statistics are damaged, or a commit was made under another recipe.
    """
    frozen = frozen or load_frozen(objects)
    commits: list[str | None] = [None] * frozen.tasks
    totals = dict.fromkeys(StoredBytes.model_fields, 0)
    merger = StatisticsMerger(objects, frozen)
    found = sorted(committed_tasks(objects) if tasks is None else tasks)
    if found and found[-1] >= frozen.tasks:
        raise CorruptObjectError(f"{objects.uri}: a commit of task {found[-1]}; the recipe has {frozen.tasks} tasks")
    done = sorted(set(found).intersection(frozen.tasks_here))

    def load(task: int) -> _Loaded:
        commit = load_commit(objects, task)
        if problem := next(commit_problems(commit, frozen), None):
            raise CorruptObjectError(f"{objects.uri}: the commit of task {task} {problem}")
        loaded = merger.load(commit) if statistics is None else {}
        return _Loaded(task, sha256_hex(commit.to_json()), _sizes(commit, frozen), loaded)

    with (progress or Silent()).stage("assembling the manifest", total=len(done), unit="tasks") as stage:
        for loaded in map_ahead(load, done):
            commits[loaded.task] = loaded.sha256
            for name, amount in loaded.sizes.items():
                totals[name] += amount
            if statistics is None:
                merger.add(loaded.statistics)
            stage.advance(1)
    return Manifest(
        recipe_sha256=frozen.digest,
        frozen=frozen,
        metadata=_metadata(objects, frozen) if done else _metadata_if_set_up(objects, frozen),
        commits=tuple(commits),
        stored=StoredBytes(**totals),
        statistics=merger.result() if statistics is None else dict(statistics),
    )


class _Loaded(NamedTuple):
    """Data of a task that is kept until it is merged."""

    task: int
    sha256: str
    sizes: dict[str, int]
    statistics: dict[str, NDArray[Any]]


def commit_problems(commit: Commit, frozen: FrozenRecipe) -> Iterator[str]:
    """Yield the contradictions between a commit and its recipe."""
    if commit.recipe_sha256 != frozen.digest:
        yield "was made under another recipe"
    wanted = (frozen.split_of(commit.task), frozen.rows_of(commit.task))
    if (commit.split, commit.rows) != wanted:
        yield f"says {commit.rows} rows of {commit.split!r}, the recipe gives {wanted[1]} of {wanted[0]!r}"
    arrays = frozen.committed_arrays
    paths = {spec.object_path(commit.task) for spec in arrays}
    if lost := sorted(paths - commit.objects.keys()):
        yield f"does not name {_listed(lost)}"
    if foreign := sorted(commit.objects.keys() - paths):
        yield f"names {_listed(foreign)}, which no array of this task has"
    for spec in arrays:
        stored = commit.objects.get(path := spec.object_path(commit.task))
        if stored is not None and (problem := stored_problem(spec, stored, wanted[1])):
            yield f"{problem} ({path})"


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_LISTED:,} more" if len(paths) > _MOST_LISTED else ""
    return ", ".join(printable(path) for path in paths[:_MOST_LISTED]) + more


def _sizes(commit: Commit, frozen: FrozenRecipe) -> dict[str, int]:
    """Return the sizes of the objects that are here."""
    chunk_rows, arrays = frozen.layout.chunk_rows, frozen.task_arrays
    sizes = [commit.objects[spec.object_path(commit.task)].size for spec in arrays]
    both = zip(arrays, sizes, strict=True)
    payload = (size - index_bytes(spec) for spec, size in both if spec.sharded and is_payload(spec))
    return {
        "total": sum(sizes),
        "payload": sum(max(size, 0) for size in payload),
        "payload_rows": -(-commit.rows // chunk_rows) * chunk_rows,
        "objects": len(arrays),
    }


def _metadata_if_set_up(objects: ObjectStore, frozen: FrozenRecipe) -> dict[str, str]:
    """Return the digests of a store that has no task yet; the recipe is the first object of a store."""
    try:
        return _metadata(objects, frozen)
    except MissingObjectError as error:
        raise IncompleteStoreError(
            f"{objects.uri}: the store is being set up, or its set-up was interrupted; wait until 'actstore extract' "
            f"extracts rows, or continue it with 'actstore extract --store {objects.uri}'"
        ) from error


def _metadata(objects: ObjectStore, frozen: FrozenRecipe) -> dict[str, str]:
    """Return the digests of everything that is not named by a commit."""
    paths = frozen.metadata_paths
    digests = map_ahead(lambda path: sha256_hex(read_document(objects, path)), paths)
    return dict(zip(paths, digests, strict=True)) | {RECIPE: frozen.digest, SEQUENCES: frozen.sequences_sha256}
