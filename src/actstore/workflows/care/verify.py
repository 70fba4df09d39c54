"""Verify: check that every object exists and every byte is right, and compute a sample of rows again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.care.moments import compare_statistics, spread_tasks
from actstore.store.format.layout import RECIPE
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import described_stores
from actstore.view.care_reports import Fault, VerifyReport
from actstore.workflows.care.examine import Examination, examine
from actstore.workflows.care.recompute import model_at_hand, recompute_sample

__all__ = ["verify_store"]

SAMPLE_ROWS: Final = 64
SAMPLE_TASKS: Final = 4
"""Tasks whose statistics are compared with their rows, which are read once more for it."""


@with_keyword_hints
def verify_store(
    store: str,
    *,
    recompute: bool = True,
    model: str | None = None,
    device: str = "auto",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read a whole store and compare it with its commits and manifest.

    Digests only say that the parts belong together. So the content is checked, too: rows are finite and of the residues
    of the plan, metadata follow from the recipe, statistics are possible, and those of a few tasks are of their rows.
    Objects that are not part of the store are listed; they are not faults.

    Parameters
    ----------
    store
        Path or URL of the store, or a manifest file: of a part, only the part is read; of a merge, all stores.
    recompute
        Run the model on a sample of rows if it is available: a local folder, or in the Hugging Face cache.
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
    ManifestError
        If `store` is a manifest file, and the store there has other content.
    """
    check = partial(_verify, recompute=recompute, place=model, device=device, progress=progress or Silent())
    reports = [check(one.objects, one.part) for one in described_stores(store, storage_options)]
    return reports[0] if len(reports) == 1 else _joined(store, reports)


def _verify(
    objects: ObjectStore,
    part: Manifest | None,
    *,
    recompute: bool,
    place: str | None,
    device: str,
    progress: Progress,
) -> VerifyReport:
    found = examine(objects, part=part, progress=progress)
    looked = _Looked([], 0, "the store is damaged")
    if not found.faults:
        try:
            looked = _look_closer(
                objects, found, part, recompute=recompute, place=place, device=device, progress=progress
            )
        except (CorruptObjectError, MissingObjectError) as error:
            problem = f"does not agree with the rest of the store and its model: {error}"
            looked = _Looked([Fault(RECIPE, None, problem)], 0, "the store is damaged")
    faults = [*found.faults, *looked.faults]
    return VerifyReport(
        uri=objects.uri,
        ok=not faults,
        faults=tuple(faults),
        tasks_done=len(found.commits),
        tasks_total=0 if found.frozen is None else len(found.frozen.tasks_here),
        objects=found.objects,
        bytes=found.bytes,
        recomputed_rows=looked.rows,
        not_recomputed=None if looked.rows else looked.reason,
        unnamed=found.unnamed,
        other_stores=found.other_stores,
    )


def _joined(name: str, reports: Sequence[VerifyReport]) -> VerifyReport:
    """Return the reports on the stores of a merge as one; faults are named by their whole place."""
    reasons = [report.not_recomputed for report in reports if report.not_recomputed is not None]
    return VerifyReport(
        uri=name,
        ok=all(report.ok for report in reports),
        faults=tuple(
            fault._replace(object=f"{report.uri}/{fault.object}") for report in reports for fault in report.faults
        ),
        tasks_done=sum(report.tasks_done for report in reports),
        tasks_total=sum(report.tasks_total for report in reports),
        objects=sum(report.objects for report in reports),
        bytes=sum(report.bytes for report in reports),
        recomputed_rows=sum(report.recomputed_rows for report in reports),
        not_recomputed=reasons[0] if len(reasons) == len(reports) else None,
        unnamed=tuple(
            one._replace(object=f"{report.uri}/{one.object}") for report in reports for one in report.unnamed
        ),
        other_stores=tuple(f"{report.uri}/{folder}" for report in reports for folder in report.other_stores),
    )


class _Looked(NamedTuple):
    """What a sample of tasks and rows shows of a store whose objects all agree."""

    faults: list[Fault]
    rows: int
    """Rows that the model computed."""
    reason: str
    """Why it computed none."""


def _look_closer(
    objects: ObjectStore,
    found: Examination,
    part: Manifest | None,
    *,
    recompute: bool,
    place: str | None,
    device: str,
    progress: Progress,
) -> _Looked:
    """Compare the statistics of a few tasks with their rows, and a sample of rows with the model."""
    if not found.commits or found.frozen is None:
        return _Looked([], 0, "no task is committed yet")
    manifest = part or assemble_manifest(objects)
    faults = list(_statistics_faults(objects, manifest, progress))
    if not recompute:
        return _Looked(faults, 0, "not asked for")
    model, reason = model_at_hand(found.frozen, place=place, device=device)
    if model is None:
        return _Looked(faults, 0, reason)
    sample = recompute_sample(objects, manifest, model, rows=SAMPLE_ROWS, progress=progress)
    faults += [Fault(path, task, problem) for path, task, problem in sample.differences]
    return _Looked(faults, sample.rows, "")


def _statistics_faults(objects: ObjectStore, manifest: Manifest, progress: Progress) -> Iterator[Fault]:
    """Yield statistics of a few tasks that are not those of their rows."""
    done = [task for task, commit in enumerate(manifest.commits) if commit is not None]
    sample = spread_tasks(done, SAMPLE_TASKS)
    with progress.stage("comparing statistics with rows", total=len(sample), unit="tasks") as stage:
        for task in sample:
            yield from (Fault(*found) for found in compare_statistics(objects, manifest, task))
            stage.advance(1)
