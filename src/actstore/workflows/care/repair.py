"""Repair: rebuild the damaged parts of a store from the sound ones, and touch nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, suppress
from importlib.metadata import version
from typing import Any, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import (
    CorruptObjectError,
    ManifestError,
    MissingObjectError,
    StorageUnavailableError,
    StoreError,
    StoreNotFoundError,
    UsageError,
)
from actstore.leaving import if_stopped
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import read_document
from actstore.store.format.layout import COMMITS, MANIFEST, RECIPE, SEQUENCES, commit_path
from actstore.store.read.assemble_manifest import assemble_manifest, write_manifest
from actstore.store.read.manifest import Manifest, parse_manifest
from actstore.store.read.open import open_store_objects
from actstore.store.write.commit import committed_tasks, load_commit
from actstore.store.write.freeze import metadata_objects
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.part import refuse_part
from actstore.view.care_reports import Fault, RepairReport
from actstore.workflows.care.again import PlannedRows, rows_of_model, write_again
from actstore.workflows.care.examine import DISAGREES, FOLDER_IN_PLACE, Examination, examine
from actstore.workflows.extraction.stored_model import load_stored_model, stored_model

__all__ = ["repair_from", "repair_store", "repair_with"]


@with_keyword_hints
def repair_store(
    store: str,
    *,
    tasks: Collection[int] | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
    model: str | None = None,
    device: str = "auto",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Find damage and repair it: extract damaged tasks again, and rewrite what follows from the recipe.

    Extraction is deterministic: a repaired store and its manifest have the same bytes as before. Readers may continue
    meanwhile, a killed repair can be repeated, and other extractors may run.

    Parameters
    ----------
    store
        Path or URL of the store, or a manifest file that was exported from it.
    tasks
        Extract these again, compare them, and check no others; None for the tasks that are found damaged.
    dry_run
        Only report what would be done.
    rewrite
        Accept tasks whose new bytes differ from the lost ones, and write a new manifest.
    model
        Folder or Hugging Face name that has the model now, if not the place it was extracted with.
    device
        Where the model runs: `auto` (CUDA if PyTorch can use it, else the CPU), `cpu`, `cuda` or `cuda:N`.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError
        If there is no store at all.
    UsageError
        If a task was named that the store does not have, or it is a part of a store, which is mended by copying.
    RecipeChangedError
        If the model at hand is not the one that the store was made with.
    ModelError, NumericsError, StoreError
        If the work fails; repaired parts stay good. If the storage rejects a task, it is reported, and the others are
        still repaired.
    """

    def model_of(frozen: FrozenRecipe) -> ActivationModel:
        return load_stored_model(frozen, stored_model(frozen, model), device=device)

    objects = open_store_objects(store, storage_options)
    with suppress(CorruptObjectError, StoreNotFoundError):
        refuse_part(load_frozen(objects).part, uri=objects.uri)
    with if_stopped(lambda: f"{printable(objects.uri)}: what is repaired stays good; the same command continues"):
        return repair_with(model_of, objects, tasks=tasks, dry_run=dry_run, rewrite=rewrite, progress=progress)


def repair_with(
    model_of: Callable[[FrozenRecipe], ActivationModel],
    objects: ObjectStore,
    *,
    tasks: Collection[int] | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
    progress: Progress | None = None,
) -> RepairReport:
    """Repair with a model that is loaded only if a task has to be extracted; see `repair_store`."""

    def rows_of(frozen: FrozenRecipe) -> AbstractContextManager[PlannedRows]:
        return rows_of_model(objects, frozen, model_of(frozen))

    return repair_from(rows_of, objects, tasks=tasks, dry_run=dry_run, rewrite=rewrite, progress=progress)


def repair_from(
    rows_of: Callable[[FrozenRecipe], AbstractContextManager[PlannedRows]],
    objects: ObjectStore,
    *,
    tasks: Collection[int] | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
    progress: Progress | None = None,
) -> RepairReport:
    """Repair with rows of any source, which is opened only if a task has to be written; see `repair_store`."""
    progress, started = progress or Silent(), time.perf_counter()
    found = examine(objects, tasks=tasks, progress=progress)
    plan = _plan(objects, found, tasks, rewrite=rewrite)
    before = _manifest_digest(objects)
    written, left, rows = list(plan.expected), list(plan.left), 0
    if found.frozen is not None and not dry_run:
        written, failed = _write_metadata(objects, plan)
        left += failed
        if plan.tasks:
            with rows_of(found.frozen) as planned:
                changed, failed = write_again(
                    planned, objects, found.frozen, found.manifest, plan.tasks, rewrite=rewrite, progress=progress
                )
            rows = sum(found.frozen.rows_of(task) for task in plan.tasks)
            written, left = written + changed, left + failed
        if left:
            left += [
                fault._replace(problem=f"{fault.problem}; it is written when everything else is repaired")
                for fault in found.faults
                if fault.object == MANIFEST and fault not in left
            ]
        elif not _manifest_is_right(objects, found, plan, everything=tasks is None):
            changed, left = _renew_manifest(objects, found.frozen, progress)
            written += changed
        if written:
            left += _still_wrong(objects, plan, {fault.object for fault in left}, progress)
    return RepairReport(
        uri=objects.uri,
        ok=not left and not (dry_run and (found.faults or plan.tasks)),
        dry_run=dry_run,
        faults=found.faults,
        tasks=plan.tasks,
        written=tuple(dict.fromkeys(written)),
        left=tuple(left),
        rows_extracted=rows,
        seconds=time.perf_counter() - started,
        manifest_before=before,
        manifest_sha256=_manifest_digest(objects),
    )


class _Plan(NamedTuple):
    """What to do about the faults of a store."""

    metadata: dict[str, bytes]
    """Path and content of what follows from the recipe."""
    surplus: tuple[str, ...]
    """Commits of tasks that the recipe does not have: a store with them cannot be opened."""
    tasks: tuple[int, ...]
    """To be extracted again."""
    expected: tuple[str, ...]
    """What will be written or removed, as far as it is known in advance."""
    left: tuple[Fault, ...]
    """What cannot be repaired."""


def _plan(objects: ObjectStore, found: Examination, asked: Collection[int] | None, *, rewrite: bool) -> _Plan:
    if found.frozen is None:
        return _Plan({}, (), (), (), tuple(_lost_recipe(fault) for fault in found.faults))
    _check_asked(objects, found, asked)
    contents = metadata_objects(found.frozen) | {RECIPE: found.frozen.to_json()}
    metadata: dict[str, bytes] = {}
    surplus: list[str] = []
    again = set(asked or ())
    left: list[Fault] = []
    for fault in found.faults:
        if fault.task is not None and fault.task >= found.frozen.tasks:
            surplus.append(fault.object)
        elif fault.object == COMMITS or (fault.problem == FOLDER_IN_PLACE and fault.object != SEQUENCES):
            left.append(fault)
        elif fault.task is not None:
            again.add(fault.task)
        elif fault.object == SEQUENCES:
            left.append(_lost_sequences(fault, found.frozen))
        elif fault.object in contents and (rewrite or _is_as_before(contents, fault.object, found.manifest)):
            metadata[fault.object] = contents[fault.object]
        elif fault.object in contents:
            left.append(fault._replace(problem=f"{fault.problem}; {_other_zarr(found.frozen)}"))
    again -= {fault.task for fault in left}
    if lost := next((fault.object for fault in left if fault.object in {SEQUENCES, COMMITS}), None):
        left += [Fault(commit_path(task), task, f"cannot be extracted without {lost}") for task in sorted(again)]
        again = set()
    damaged = [
        fault.object
        for fault in found.faults
        if fault not in left and (fault.object == MANIFEST or fault.task in again)
    ]
    return _Plan(metadata, tuple(surplus), tuple(sorted(again)), (*metadata, *surplus, *damaged), tuple(left))


def _check_asked(objects: ObjectStore, found: Examination, asked: Collection[int] | None) -> None:
    known = set(found.commits) | {fault.task for fault in found.faults}
    for task in asked or ():
        if found.frozen is not None and not 0 <= task < found.frozen.tasks:
            raise UsageError(f"{objects.uri}: no task {task}; the store has {found.frozen.tasks}, from 0")
        if task not in known and (found.manifest is None or found.manifest.commits[task] is None):
            raise UsageError(
                f"{objects.uri}: task {task} was never extracted, so there is nothing to repair; "
                "extract it with 'actstore extract --store URI'"
            )


def _is_as_before(contents: Mapping[str, bytes], path: str, manifest: Manifest | None) -> bool:
    return manifest is None or path == RECIPE or manifest.metadata.get(path) == sha256_hex(contents[path])


def _lost_recipe(fault: Fault) -> Fault:
    if fault.object != RECIPE:
        return fault
    way_out = "there is no manifest to make it from: put back a copy, or extract to another place"
    return fault._replace(problem=f"{fault.problem}; {way_out}")


def _lost_sequences(fault: Fault, frozen: FrozenRecipe) -> Fault:
    if fault.problem.startswith(DISAGREES):
        way_out = "one of the two was changed, and nothing in the store says which: put back a copy of the store"
    else:
        way_out = (
            f"nothing else in a store holds the sequences: put back a copy (sha256 {frozen.sequences_sha256}); or "
            "remove what is there, and write it again with 'actstore extract RECIPE --store URI' and the recipe that "
            "the store was begun with"
        )
    return fault._replace(problem=f"{fault.problem}; {way_out}")


def _other_zarr(frozen: FrozenRecipe) -> str:
    if frozen.software.get("zarr") == version("zarr"):
        return (
            "the manifest names other bytes than the recipe gives: accept the change and a new manifest with --rewrite"
        )
    return (
        f"zarr {version('zarr')} writes it differently from zarr {frozen.software.get('zarr', '(not said)')}, which "
        "made the store: repair it with that version, or accept the change and a new manifest with --rewrite"
    )


def _write_metadata(objects: ObjectStore, plan: _Plan) -> tuple[list[str], list[Fault]]:
    """Write metadata and remove surplus commits; return what was written or removed and what failed."""
    written: list[str] = []
    failed: list[Fault] = []
    for path in (*plan.metadata, *plan.surplus):
        try:
            if path in plan.metadata:
                objects.put(path, plan.metadata[path])
            else:
                objects.delete(path)
        except StorageUnavailableError:
            raise
        except StoreError as error:
            failed.append(Fault(path, None, str(error)))
        else:
            written.append(path)
    return written, failed


def _manifest_is_right(objects: ObjectStore, found: Examination, plan: _Plan, *, everything: bool) -> bool:
    """Return whether the manifest was sound and still matches the store after the repair."""
    if any(fault.object == MANIFEST for fault in found.faults):
        return False
    if found.manifest is None or not (found.faults or plan.tasks):
        return True
    if everything:
        return objects.get(MANIFEST) == assemble_manifest(objects).to_json(uri=None)
    now = {commit_path(task): sha256_hex(load_commit(objects, task).to_json()) for task in plan.tasks}
    now |= {path: sha256_hex(content) for path, content in plan.metadata.items()}
    said = {commit_path(task): found.manifest.commits[task] for task in plan.tasks} | found.manifest.metadata
    return all(said[path] == digest for path, digest in now.items())


def _renew_manifest(objects: ObjectStore, frozen: FrozenRecipe, progress: Progress) -> tuple[list[str], list[Fault]]:
    """Write the manifest, if every task is done; return what was written and what is left."""
    if missing := len(set(frozen.tasks_here) - committed_tasks(objects)):
        problem = f"{missing:,} tasks are not extracted: 'actstore extract --store URI' extracts them and writes it"
        return [], [Fault(MANIFEST, None, problem)]
    write_manifest(objects, progress=progress)
    return [MANIFEST], []


def _still_wrong(objects: ObjectStore, plan: _Plan, known: Collection[str], progress: Progress) -> list[Fault]:
    """Read back what was repaired."""
    found = examine(objects, tasks=plan.tasks, progress=progress)
    return [fault for fault in found.faults if fault.object not in known]


def _manifest_digest(objects: ObjectStore) -> str | None:
    try:
        return parse_manifest(read_document(objects, MANIFEST), name=MANIFEST).digest
    except (MissingObjectError, ManifestError, CorruptObjectError):
        return None
