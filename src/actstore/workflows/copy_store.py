"""Copy a store, or a part of it, from any place to any other."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.printable import printable
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import UsageError
from actstore.leaving import if_stopped
from actstore.store.care.copy import begin_copy, copy_tasks
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source, one_store
from actstore.store.read.open import locate_rows
from actstore.store.read.place import check_new_place
from actstore.store.write.commit import committed_tasks
from actstore.workflows.copy_sequences import copy_sequences
from actstore.workflows.sharing.choose_part import choose_part
from actstore.workflows.sharing.report import CopyReport
from actstore.workflows.sharing.room import check_copy_room
from actstore.workflows.sharing.sequence_list import listed_ids

__all__ = ["CopyReport", "copy_store"]


@with_keyword_hints
def copy_store(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    sites: Sequence[str] | str | None = None,
    splits: Sequence[str] | str | None = None,
    tasks: float | None = None,
    sequences: str | os.PathLike[str] | Sequence[str] | None = None,
    check: bool = False,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    destination_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> CopyReport:
    """Copy a store, or a part of it; nothing else of the source is read.

    Every object is compared with its digest before it is written. The same call continues an interrupted copy. A part
    is a store like any other, except that no rows can be extracted into it. With `sequences`, the copy is a store of
    its own, with rows shuffled anew; rows keep their encoded values, and proteins their splits.

    Parameters
    ----------
    source
        Path or URL of a store, or a manifest file; with `sequences`, also that of a merge.
    destination
        An empty or new folder, or a copy that was begun.
    sites, splits
        Names (of sites also globs); None for all.
    tasks
        The first tasks of each split: a number, or a share as a fraction. They are a fair sample. None for all.
    sequences
        Ids, or a file with an id on each line, or a FASTA: only their rows. None for all. Not together with `tasks`.
    check
        Read what is there, too, and copy again what is damaged.
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options, destination_options
        Passed to fsspec, for the two places.
    progress
        Where to report.

    Raises
    ------
    SiteError, NoSplitError, UsageError
        If there is no such site, split or sequence; or the destination is the source, another store, or not empty.
    StoreNotFoundError, ManifestError, MissingObjectError, CorruptObjectError, IncompleteStoreError
        If the source is not there, or damaged; or not complete, and sequences were chosen.
    StoreError, CorpusError
        If a local disk has no room for it; or the list of sequences cannot be read.
    """
    manifest, objects = locate_rows(source, uri=uri, storage_options=storage_options)
    target = open_objects(destination, destination_options)
    asked = _Asked(sites, splits, tasks, check, progress or Silent())
    with if_stopped(lambda: f"{printable(target.uri)}: copied tasks are kept; the same command continues"):
        if sequences is None:
            return _copy(one_store(objects), target, manifest, asked)
        return _copy_listed(objects, target, manifest, asked, sequences, storage_options)


class _Asked(NamedTuple):
    """What to copy, and how."""

    sites: Sequence[str] | str | None
    splits: Sequence[str] | str | None
    tasks: float | None
    check: bool
    progress: Progress


def _check_places(objects: Source, target: ObjectStore) -> None:
    if target.uri == objects.uri:
        raise UsageError(f"{target.uri}: source and destination are the same")
    check_new_place(target)


def _copy_listed(
    objects: Source,
    target: ObjectStore,
    manifest: Manifest,
    asked: _Asked,
    sequences: str | os.PathLike[str] | Sequence[str],
    storage_options: Mapping[str, Any] | None,
) -> CopyReport:
    if asked.tasks is not None:
        raise UsageError("sequences and tasks (--sequences, --tasks) cannot be chosen together; leave out one")
    ids = listed_ids(sequences, storage_options=storage_options)
    _check_places(objects, target)
    return copy_sequences(
        objects,
        target,
        manifest,
        ids,
        sites=asked.sites,
        splits=asked.splits,
        check=asked.check,
        progress=asked.progress,
    )


def _copy(objects: ObjectStore, target: ObjectStore, manifest: Manifest, asked: _Asked) -> CopyReport:
    sites, splits, tasks, check, progress = asked
    part = choose_part(manifest, uri=objects.uri, sites=sites, splits=splits, tasks=tasks)
    _check_places(objects, target)
    started, frozen = time.perf_counter(), manifest.frozen.model_copy(update={"part": part})
    target.sweep(large=LARGE_OBJECTS)
    begin_copy(objects, target, manifest, frozen, check=check)
    before = committed_tasks(target)
    ready = {task for task in frozen.tasks_here if manifest.commits[task] is not None}
    wanted = ready if check else ready - before
    check_copy_room(target, frozen, wanted, less="fewer sites (--site), or a share of the tasks (--tasks 10%)")
    copied = copy_tasks(objects, target, manifest, frozen, tasks=wanted, check=check, progress=progress)
    complete = ready | before >= set(frozen.tasks_here)
    digest = write_manifest(target, progress=progress).digest if complete else None
    return CopyReport(
        source=objects.uri,
        uri=target.uri,
        complete=complete,
        sites=tuple(site.name for site in frozen.sites_here),
        splits={name: split.rows for name, split in frozen.splits_here.items()},
        rows=sum(split.rows for split in frozen.splits_here.values()),
        tasks_total=len(frozen.tasks_here),
        tasks_before=len(before),
        objects=copied.objects,
        bytes=copied.bytes,
        seconds=time.perf_counter() - started,
        manifest_sha256=digest,
    )
