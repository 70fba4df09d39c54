"""Write damaged tasks again, from a model or from the files that they were imported from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress
from actstore.contracts.tasks import RowSource
from actstore.errors import StorageUnavailableError, StoreError
from actstore.extract.row_memory import RowMemory
from actstore.extract.task import ModelRows
from actstore.extract.threads import LoneThreads
from actstore.store.care.restore import restore_task
from actstore.store.format.layout import commit_path
from actstore.store.plan.tasks import Plan
from actstore.store.read.manifest import Manifest
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.writer import encode_task
from actstore.view.care_reports import Fault
from actstore.workflows.extraction.plan import replan

__all__ = ["PlannedRows", "rows_of_model", "write_again"]


class PlannedRows(NamedTuple):
    """The plan of a store, and what gives its rows."""

    plan: Plan
    rows: RowSource


@contextmanager
def rows_of_model(objects: ObjectStore, frozen: FrozenRecipe, model: ActivationModel) -> Iterator[PlannedRows]:
    """Yield the rows of a store as its model computes them; raises as `replan`."""
    plan = replan(objects, frozen, model).tasks
    with StoredSequences(objects) as source:
        yield PlannedRows(plan, ModelRows(source, model, frozen.tokens_per_batch))


def write_again(
    planned: PlannedRows,
    objects: ObjectStore,
    frozen: FrozenRecipe,
    manifest: Manifest | None,
    tasks: Sequence[int],
    *,
    rewrite: bool,
    progress: Progress,
) -> tuple[list[str], list[Fault]]:
    """Take the rows of tasks again and replace stored objects that differ; return what was written and what failed.

    Parameters
    ----------
    planned
        Gives the rows.
    objects, frozen, manifest
        The store; None if it has no sound manifest.
    tasks
        Numbers of the tasks.
    rewrite
        Accept other bytes than the manifest says.
    progress
        Where to report.
    """
    written: list[str] = []
    failed: list[Fault] = []
    rows, memory = planned.rows, RowMemory(planned.rows.device_rows)
    with (
        progress.stage("extracting again", total=sum(map(frozen.rows_of, tasks)), unit="rows") as stage,
        LoneThreads() as threads,
    ):
        for index in tasks:
            task = planned.plan.task(index)
            found = rows.task_rows(task, parallel=threads.map, take_rows=memory.take, on_rows=stage.advance)
            shards = encode_task(frozen, task, found, name_of=rows.sequence_id, parallel=threads.map)
            memory.give_back(found)
            named = None if manifest is None else manifest.commits[index]
            try:
                written += restore_task(objects, frozen, index, shards, named=named, rewrite=rewrite)
            except StorageUnavailableError:
                raise
            except StoreError as error:
                failed.append(Fault(commit_path(index), index, str(error)))
    return written, failed
