"""Verify: check that every object exists and every byte is right, and compute a sample of rows again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.open import open_store_objects
from actstore.view.reports import Fault, VerifyReport
from actstore.workflows.care.examine import Examination, examine
from actstore.workflows.care.recompute import model_at_hand, recompute_sample

__all__ = ["verify_store"]

SAMPLE_ROWS: Final = 64


@with_keyword_hints
def verify_store(
    store: str,
    *,
    recompute: bool = True,
    device: str = "cpu",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read a whole store and compare it with its commits and manifest.

    Objects that are not part of the store are listed; they are not faults.

    Parameters
    ----------
    store
        Path or URL of the store.
    recompute
        Run the model on a sample of rows if it is available: a local folder, or in the Hugging Face cache.
    device
        Where the model runs.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError
        If there is no store at all.
    UsageError
        If `store` is an exported manifest.
    """
    progress = progress or Silent()
    objects = open_store_objects(store, storage_options)
    found = examine(objects, progress=progress)
    faults, rows = list(found.faults), 0
    model, reason = _model_for(found, recompute=recompute, device=device)
    if model is not None:
        sample = recompute_sample(objects, assemble_manifest(objects), model, rows=SAMPLE_ROWS, progress=progress)
        faults += [Fault(path, task, problem) for path, task, problem in sample.differences]
        rows = sample.rows
    return VerifyReport(
        uri=objects.uri,
        ok=not faults,
        faults=tuple(faults),
        tasks_done=len(found.commits),
        tasks_total=0 if found.frozen is None else found.frozen.tasks,
        objects=found.objects,
        bytes=found.bytes,
        recomputed_rows=rows,
        not_recomputed=None if rows else reason,
        unnamed=found.unnamed,
        other_stores=found.other_stores,
    )


def _model_for(found: Examination, *, recompute: bool, device: str) -> tuple[ActivationModel | None, str]:
    """Return the model for a sample of rows, or why none is computed."""
    if found.faults or found.frozen is None:
        return None, "the store is damaged"
    if not found.commits:
        return None, "no task is committed yet"
    if not recompute:
        return None, "not asked for"
    return model_at_hand(found.frozen, device=device)
