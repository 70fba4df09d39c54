"""Copy the rows of some sequences: they become a store of their own, with a plan of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.models import Site
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.contracts.unknown import KNOWABLE, Knowable
from actstore.errors import CorruptObjectError, IncompleteStoreError, UsageError
from actstore.store.browse.all_proteins import proteins_of
from actstore.store.browse.chosen_sequences import ChosenSequences, choose_sequences
from actstore.store.browse.stored_rows import StoredRows
from actstore.store.care.compare import compare_sha256
from actstore.store.format.layout import LARGE_OBJECTS, SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import MergedObjects, Source
from actstore.store.write.commit import committed_tasks, load_commit
from actstore.store.write.freeze import has_sequences
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen, load_frozen_if_any
from actstore.store.write.imported import STORE_FORMAT, ImportFacts
from actstore.store.write.sequences import most_file_bytes
from actstore.view.care_reports import RepairReport
from actstore.view.reports import ExtractReport, kept_rows
from actstore.workflows.care.again import PlannedRows
from actstore.workflows.care.repair import repair_from
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.executors import Executor, SerialExecutor
from actstore.workflows.extraction.missing_tasks import do_missing_tasks
from actstore.workflows.extraction.plan import ExtractionPlan, begin_or_continue
from actstore.workflows.extraction.resolve import Resolution, RowOrigin, spool_folder
from actstore.workflows.extraction.runner import TaskRunner
from actstore.workflows.extraction.sizes import check_room
from actstore.workflows.sharing.choose_part import choose_part
from actstore.workflows.sharing.report import CopyReport
from actstore.workflows.sharing.room import check_copy_room

__all__ = ["copy_sequences"]


def copy_sequences(
    objects: Source,
    target: ObjectStore,
    manifest: Manifest,
    ids: Sequence[str],
    *,
    sites: Sequence[str] | str | None,
    splits: Sequence[str] | str | None,
    check: bool,
    progress: Progress,
) -> CopyReport:
    """Write a store of the rows that a store, a part of one or a merge has of some sequences; see `copy_store`.

    Rows keep their encoded values, and proteins their splits. Model, seed, calibration and all rules are those of the
    source, whose manifest the recipe names.

    Parameters
    ----------
    objects, manifest
        The source.
    target
        Where the copy is or will be.
    ids
        From `listed_ids`.
    sites, splits, check, progress
        As `copy_store`.

    Raises
    ------
    SiteError, NoSplitError, UsageError
        If the source has no such site, split or sequence; if the stores of a merge have other splits; or if another
        copy was begun at the destination.
    IncompleteStoreError
        If the source is not complete.
    MissingObjectError, CorruptObjectError
        If the source is damaged. Tasks that were copied stay good.
    """
    _refuse_unfit(manifest, uri=objects.uri)
    started, before = time.perf_counter(), committed_tasks(target)
    part = choose_part(manifest, uri=objects.uri, sites=sites, splits=splits)
    names = manifest.splits if part is None or part.tasks is None else part.tasks
    chosen_sites = [site for site in manifest.sites if part is None or part.sites is None or site.name in part.sites]
    proteins = proteins_of(objects, manifest, progress=progress)
    try:
        sequences = choose_sequences(objects, manifest, ids, splits=names, proteins=proteins, progress=progress)
        target.sweep(large=LARGE_OBJECTS)
        with spool_folder() as folder:
            copy = _Copy(objects, target, manifest, sequences, tuple(chosen_sites))
            done, mended = _copy(copy, folder, check=check, progress=progress)
    finally:
        proteins.close()
    return _report(copy, before, done, mended, seconds=time.perf_counter() - started)


class _Copy(NamedTuple):
    """What is copied, and where to."""

    objects: Source
    target: ObjectStore
    manifest: Manifest
    sequences: ChosenSequences
    sites: tuple[Site, ...]


def _refuse_unfit(manifest: Manifest, *, uri: str) -> None:
    """Refuse a source that is not complete, or a merge of stores that draw splits or rows by other rules."""
    if not manifest.complete:
        raise IncompleteStoreError(
            f"{uri} is not complete, so some rows of its sequences are missing; finish with "
            f"{manifest.frozen.how_to_finish} first"
        )
    rules = {_rules(one.frozen) for one in manifest.members}
    if len(rules) > 1:
        raise UsageError(
            f"{uri}: the stores of the merge draw splits or rows by other rules (seed, rows, splits or windows), so no "
            "common plan keeps them; copy from each of the stores, and merge the copies"
        )


def _rules(frozen: FrozenRecipe) -> tuple[object, ...]:
    """Return what decides which residues are kept, and the split of each sequence."""
    splits = frozen.recipe.splits
    return frozen.row_rules, tuple(splits.fractions.items()), splits.clusters is None


def _copy(copy: _Copy, folder: Path, *, check: bool, progress: Progress) -> tuple[ExtractReport, RepairReport | None]:
    """Begin or continue the copy; return what was done, and what was mended."""
    target, begun = copy.target, load_frozen_if_any(copy.target)
    damaged = check and begun is not None and _has_other_sequences(target, begun)
    needed = damaged or begun is None or not has_sequences(target)
    resolved = _resolution(copy, folder, needs_sequences=needed, progress=progress)
    resolved.sized.refuse_credentials(name=copy.objects.uri)
    if begun is not None and not _is_begun_alike(begun, resolved.draft):
        raise UsageError(f"{target.uri} is another store, or a copy of other sequences or sites; copy to another place")
    missing = set(range(resolved.draft.tasks)) - committed_tasks(target)
    check_copy_room(target, resolved.draft, missing, less="fewer sequences, or fewer sites (--site)")
    plan = begin_or_continue(target, resolved)
    if damaged and resolved.sequences.sha256 == plan.frozen.sequences_sha256:
        target.put_file(SEQUENCES, resolved.sequences.path)
    mended = _mend(target, plan, resolved, progress) if check else None
    return _do_tasks(target, plan, resolved, progress), mended


def _has_other_sequences(target: ObjectStore, begun: FrozenRecipe) -> bool:
    most = most_file_bytes(begun.corpus.sequences)
    return compare_sha256(target, SEQUENCES, begun.sequences_sha256, most_bytes=most) is not None


def _is_begun_alike(begun: FrozenRecipe, asked: FrozenRecipe) -> bool:
    """Return whether a store was begun as a copy of the same sequences and sites of the same source."""
    return begun.imported == asked.imported and (begun.corpus.digest, begun.sites) == (asked.corpus.digest, asked.sites)


def _resolution(copy: _Copy, folder: Path, *, needs_sequences: bool, progress: Progress) -> Resolution:
    """Return what an extraction would resolve, with another store in place of corpus and model."""
    source, sequences, sites = copy.manifest.frozen, copy.sequences, copy.sites
    calibration = None
    if source.calibration is not None:
        calibration = {site.name: source.calibration[site.name] for site in sites}

    def rows_in(order_N: NDArray[np.int64] | None) -> StoredRows:
        return StoredRows(copy.objects, copy.manifest, sites, sequences, order_N)

    origin = RowOrigin(
        source.model,
        sites,
        rows_in,
        ImportFacts(format=STORE_FORMAT, digest=copy.manifest.digest, known=_known(copy.manifest)),
        sequences.table,
        calibration,
    )
    return Resolution(
        _recipe(copy), origin, sequences, None, folder, needs_sequences=needs_sequences, progress=progress
    )


def _recipe(copy: _Copy) -> Recipe:
    """Return the recipe of the source, with the chosen sites."""
    frozen, one = copy.manifest.frozen, copy.objects
    place = one.members[0].uri if isinstance(one, MergedObjects) else one.uri
    known = {"task_rows": frozen.layout.task_rows, "calibration_of": place if frozen.calibration is not None else None}
    return frozen.recipe.model_copy(
        update={
            "sites": tuple(site.name for site in copy.sites),
            "store": frozen.recipe.store.model_copy(update=known),
        }
    )


def _known(manifest: Manifest) -> tuple[Knowable, ...]:
    """Return what the source says of its rows; of a merge, what all of its stores say."""
    facts = [one.frozen.imported for one in manifest.members or (manifest,)]
    return tuple(what for what in KNOWABLE if all(one is None or what in one.known for one in facts))


def _mend(target: ObjectStore, plan: ExtractionPlan, resolved: Resolution, progress: Progress) -> RepairReport:
    """Write what is damaged of the tasks that are there."""

    @contextmanager
    def rows_of(_frozen: FrozenRecipe) -> Iterator[PlannedRows]:
        yield PlannedRows(plan.tasks, resolved.origin.rows_in(resolved.order_N))

    mended = repair_from(rows_of, target, progress=progress)
    if mended.left:
        first = mended.left[0]
        raise CorruptObjectError(
            f"{target.uri}: {len(mended.left):,} objects cannot be mended, such as {first.object}: {first.problem}"
        )
    return mended


def _do_tasks(target: ObjectStore, plan: ExtractionPlan, resolved: Resolution, progress: Progress) -> ExtractReport:
    @contextmanager
    def executor(tasks_done: int) -> Iterator[Executor]:
        check_room(target, plan.frozen, tasks_done=tasks_done)
        with TaskRunner(plan, resolved.origin.rows_in(resolved.order_N), target) as runner:
            yield SerialExecutor(runner, target)

    return do_missing_tasks(
        target, plan.frozen, executor, progress=progress, share=None, stop=Stop(), title="copying", kept=kept_rows
    )


def _report(
    copy: _Copy, before: set[int], done: ExtractReport, mended: RepairReport | None, *, seconds: float
) -> CopyReport:
    frozen = load_frozen(copy.target)
    new = committed_tasks(copy.target) - before
    put_back = set() if mended is None else set(mended.written)
    written = [
        stored.size
        for task in sorted(new | set(mended.tasks if mended is not None else ()))
        for path, stored in load_commit(copy.target, task).objects.items()
        if task in new or path in put_back
    ]
    return CopyReport(
        source=copy.objects.uri,
        uri=copy.target.uri,
        complete=done.complete,
        sites=tuple(site.name for site in copy.sites),
        splits={name: split.rows for name, split in frozen.splits.items() if split.rows},
        rows=frozen.rows,
        tasks_total=frozen.tasks,
        tasks_before=len(before),
        objects=len(written),
        bytes=sum(written),
        seconds=seconds,
        manifest_sha256=done.manifest_sha256,
        sequences=frozen.corpus.sequences,
    )
