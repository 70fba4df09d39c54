"""Do the tasks of a store that have no commit, with any executor; then write the manifest, if no task is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from actstore.access.objects import ObjectStore
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError
from actstore.leaving import if_stopped
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import written_manifest
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen_if_any
from actstore.view.reports import ExtractReport, kept_tasks
from actstore.workflows.extraction.deadline import Interrupted, Stop
from actstore.workflows.extraction.executors import Executor, Tally
from actstore.workflows.extraction.shares import Share

__all__ = ["do_missing_tasks", "stopped_early"]


def do_missing_tasks(
    objects: ObjectStore,
    frozen: FrozenRecipe,
    executor: Callable[[int], AbstractContextManager[Executor]],
    *,
    progress: Progress,
    share: Share | None,
    stop: Stop,
    title: str = "extracting",
    kept: Callable[..., str] = kept_tasks,
) -> ExtractReport:
    """Do the tasks without a commit; write the manifest if no task is left.

    Parameters
    ----------
    objects, frozen
        The store.
    executor
        Called with the number of tasks done; not called if none is missing.
    progress, title
        Where to report, and the title of the stage.
    share, stop
        Which tasks to do (None for all), and when to stop before the end.
    kept
        Says what a stopped run leaves; as `kept_tasks`.
    """
    before = _committed(objects, frozen)
    own = [task for task in range(frozen.tasks) if share is None or task in share]
    missing = [task for task in own if task not in before]
    total = sum(map(frozen.rows_of, own))
    done = total - sum(map(frozen.rows_of, missing))
    started_s = time.perf_counter()
    with progress.stage(title, total=total, unit="rows", done=done) as stage:
        tally = Tally(frozen, stage)
        if missing and stop.may_begin():
            with (
                if_stopped(lambda: kept(objects.uri, done=len(before) + tally.tasks, total=frozen.tasks)),
                executor(len(before)) as each,
            ):
                each.run(missing, stop=stop, tally=tally)
            objects.sweep(large=LARGE_OBJECTS)  # a worker may have died in the middle of a write
    seconds = time.perf_counter() - started_s
    after = _committed(objects, frozen)
    left = frozen.tasks - len(after)
    manifest = None if left else _manifest(objects, progress, stop)
    return ExtractReport(
        uri=objects.uri,
        manifest_sha256=None if manifest is None else manifest.digest,
        rows=frozen.rows,
        tasks_total=frozen.tasks,
        tasks_before=len(before),
        tasks_done=len(after),
        tasks_left=left,
        complete=manifest is not None,
        stopped=stop.reason if set(missing) - after or (manifest is None and not left) else None,
        workers=tally.workers,
        rows_extracted=tally.rows,
        seconds=seconds,
        rows_per_s=tally.rows / seconds if seconds else 0.0,
    )


def _manifest(objects: ObjectStore, progress: Progress, stop: Stop) -> Manifest | None:
    """Write the manifest; return None if a signal stops that.

    A run that was told to stop while it finished its last task still writes it, if it can in time.
    """
    if stop.must_drop():
        return write_manifest(objects, progress=progress)
    try:
        with stop.interruptible():
            return write_manifest(objects, progress=progress)
    except Interrupted:
        return None


def _committed(objects: ObjectStore, frozen: FrozenRecipe) -> set[int]:
    done = committed_tasks(objects)
    if foreign := sorted(task for task in done if task >= frozen.tasks):
        raise CorruptObjectError(
            f"{objects.uri}: a commit of task {foreign[0]}, but the recipe has {frozen.tasks} tasks; "
            "remove it, or extract to another place"
        )
    return done


def stopped_early(objects: ObjectStore, stop: Stop) -> ExtractReport:
    """Report a run that was told to stop before the first task."""
    frozen = load_frozen_if_any(objects)
    done = set() if frozen is None else _committed(objects, frozen)
    left = 0 if frozen is None else frozen.tasks - len(done)
    manifest = None if left else written_manifest(objects)
    return ExtractReport(
        uri=objects.uri,
        manifest_sha256=None if manifest is None else manifest.digest,
        rows=0 if frozen is None else frozen.rows,
        tasks_total=0 if frozen is None else frozen.tasks,
        tasks_before=len(done),
        tasks_done=len(done),
        tasks_left=left,
        complete=manifest is not None,
        stopped=stop.reason if manifest is None else None,
        workers=0,
        rows_extracted=0,
        seconds=0.0,
        rows_per_s=0.0,
    )
