"""Streams whose rows the model computes on demand: all of them, or those that a store does not have yet."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.scratch import scratch_folder
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.windows import RowBuffer, RowWindow, WindowReader
from actstore.errors import StreamError
from actstore.extract.task import ModelRows
from actstore.extract.threads import LoneThreads
from actstore.store.read.assemble_manifest import complete_manifest
from actstore.store.read.cached import CachedObjects
from actstore.store.read.manifest import Manifest, StoredBytes
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.store.write.commit import committed_tasks, is_committed
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.statistics import SiteStatistics, merge_statistics
from actstore.store.write.writer import commit_of, encode_task, publish_task
from actstore.stream.open import stream_over
from actstore.stream.request import StreamRequest
from actstore.stream.stream import Stream
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.plan import ExtractionPlan
from actstore.workflows.extraction.runner import TaskRunner
from actstore.workflows.live.cost import LiveCost, live_cost
from actstore.workflows.live.kept_rows import KeptRows
from actstore.workflows.live.reader import HybridReader, LiveReader, OnceAtATime

__all__ = ["DEFAULT_KEPT_BYTES", "LiveMode", "LiveReport", "LiveSource"]

LiveMode = Literal["online", "compute", "store"]
"""Compute all rows; the rows that a store lacks; or the rows that it lacks, and commit them to it."""
DEFAULT_KEPT_BYTES: Final = 4 << 30
_STATISTICS_TASKS: Final = 16
"""Tasks whose statistics are taken if none is committed: a million rows at the default size of a task."""


class LiveReport(NamedTuple):
    """What the model computed."""

    mode: str
    tasks_missing: int
    """Tasks of all splits that were not read from a store when this began."""
    tasks_computed: int
    """How often a task was computed, by this process."""
    passes: float
    """How often the first epoch of the stream opened last computes each of the tasks it cannot read."""


class LiveSource:
    """A recipe or a store whose streams deliver rows that the model computes; from `open_live`.

    Its streams equal those of a store of the same recipe: the same rows in the same order.

    Parameters
    ----------
    objects, manifest
        The store, complete or not.
    plan, model
        None where nothing is to be computed.
    mode
        Which rows are computed, and whether they are kept in the store.
    cache, cache_bytes
        Folder for computed rows, None for memory; and most bytes to keep, for each choice of sites.
    name
        Its name in messages; None for the place of the store.
    afterwards
        Closed last.
    """

    def __init__(
        self,
        objects: ObjectStore,
        manifest: Manifest,
        plan: ExtractionPlan | None,
        model: ActivationModel | None,
        *,
        mode: LiveMode,
        cache: Path | None = None,
        cache_bytes: int | None = None,
        name: str | None = None,
        afterwards: ExitStack | None = None,
    ) -> None:
        self.manifest = manifest
        self._objects = objects
        self._name = name or objects.uri
        self._mode = mode
        self._cache, self._cache_bytes = cache, cache_bytes
        self._missing = {task for task in manifest.tasks if mode == "online" or manifest.commits[task] is None}
        self._readers: dict[tuple[int, ...], LiveReader] = {}
        self._cost = LiveCost(0, 0, 0)
        self._once = OnceAtATime()
        self._committed = 0
        self._interrupted = False
        self._statistics: Mapping[str, SiteStatistics] | None = manifest.statistics if manifest.tasks_done else None
        self._stack = afterwards or ExitStack()
        if plan is None or model is None:
            return
        self._plan, self._model = plan, model
        with self._stack as stack:
            self._source = stack.enter_context(StoredSequences(objects))
            if mode == "store":
                rows = ModelRows(self._source, model, plan.frozen.tokens_per_batch)
                self._runner = stack.enter_context(TaskRunner(plan, rows, objects))
            else:
                self._threads = stack.enter_context(LoneThreads())
            self._stack = stack.pop_all()

    @property
    def planned(self) -> Manifest:
        """The manifest as it was before the first task; it does not change while tasks are done."""
        frozen = self.manifest.frozen
        return Manifest(
            recipe_sha256=self.manifest.recipe_sha256,
            frozen=frozen,
            metadata=self.manifest.metadata,
            commits=(None,) * frozen.tasks,
            stored=StoredBytes(total=0, payload=0, payload_rows=0, objects=0),
            statistics=merge_statistics(self._objects, frozen, ()),
        )

    def open_stream(self, request: StreamRequest, *, most_passes: float = 1.0) -> Stream:
        """Open a stream; close it before this source.

        Parameters
        ----------
        request
            Which rows, and how. The order `uniform` needs all rows in a local store.
        most_passes
            How often an epoch may compute each task, on average.

        Raises
        ------
        StreamError
            If an epoch would compute tasks more often, because too few are kept; and as `open_stream`.
        SiteError, NumericsError, ModelError, StoreError
            As `open_stream`; batches raise the errors of the model.
        """
        if not self._missing:
            objects = self._objects
            if self._cache is not None:
                objects = CachedObjects(objects, self.manifest, self._cache, self._cache_bytes)
            return stream_over(self.manifest, objects, request)
        opened: list[StoredColumns] = []

        def reader_of(columns: StoredColumns) -> WindowReader:
            opened.append(columns)
            return self._reader(columns)

        stream = stream_over(self.manifest, self._objects, request, reader_of=reader_of, name=self._name)
        try:
            if self._mode != "store":
                self._keep_within(stream, opened[0], request, most_passes)
        except BaseException:
            stream.close()
            raise
        return stream

    def statistics(self, *, progress: Progress | None = None) -> Mapping[str, SiteStatistics]:
        """Return the statistics of each site: from the commits, or from the first few tasks, which are computed now.

        A store of at most sixteen tasks has the same statistics.
        """
        if self._statistics is None:
            frozen = self.manifest.frozen
            tasks = range(min(_STATISTICS_TASKS, frozen.tasks))
            with (progress or Silent()).stage("measuring rows", total=len(tasks), unit="tasks") as stage:
                if self._mode == "store":
                    for task in tasks:
                        self._commit(task)
                        stage.advance(1)
                    self._statistics = merge_statistics(self._objects, frozen, tasks)
                else:
                    with scratch_folder("statistics") as folder:
                        aside = LocalObjects(folder)
                        for task in tasks:
                            self._measure(task, aside)
                            stage.advance(1)
                        self._statistics = merge_statistics(aside, frozen, tasks)
        return self._statistics

    def finish(self, split: str, *, progress: Progress | None = None) -> bool:
        """Complete the store, its other splits and the manifest, if it now has all rows of a split.

        Returns
        -------
        bool
            Whether the store is complete.
        """
        if self._mode != "store":
            return self.manifest.complete
        if not self._missing:
            complete_manifest(self._objects, progress=progress)  # a process may have been killed after the last task
            return True
        part = self.manifest.splits[split]
        if not committed_tasks(self._objects) >= set(range(part.first_task, part.first_task + part.tasks)):
            return False
        return extract_with(self._model, self._objects, None, progress=progress).complete

    def report(self) -> LiveReport:
        """Return what the model has computed so far."""
        computed = self._committed + sum(reader.tasks_computed for reader in self._readers.values())
        return LiveReport(self._mode, len(self._missing), computed, self._cost.passes)

    def close(self) -> None:
        """End current computations, and release everything."""
        self._interrupted = True
        for reader in self._readers.values():
            reader.interrupt()
        self._stack.close()
        self._readers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reader(self, columns: StoredColumns) -> WindowReader:
        if self._mode == "store":
            stored = StoreReader(self._objects, self.manifest, columns, late=True)
            return HybridReader(self._objects, stored, self._supply_by_store, self._missing)
        live = self._readers.get(columns.site_columns)
        if live is None:
            most_bytes = DEFAULT_KEPT_BYTES if self._cache_bytes is None else self._cache_bytes
            kept = KeptRows(most_bytes, self._cache)
            live = LiveReader(self._plan, self._source, self._model, columns, kept=kept, threads=self._threads)
            self._readers[columns.site_columns] = live
        if self._mode == "online":
            return live

        def supply(window: RowWindow, into: RowBuffer) -> bool:
            live.read(window, into)
            return True

        stored = StoreReader(self._objects, self.manifest, columns, late=True)
        return HybridReader(self._objects, stored, supply, self._missing)

    def _supply_by_store(self, window: RowWindow, _into: RowBuffer) -> bool:
        self._commit(window.task)
        return False

    def _commit(self, task: int) -> None:
        """Make sure that the store has a task."""
        self._once(task, lambda: self._do(task))

    def _do(self, task: int) -> None:
        if is_committed(self._objects, task):
            return
        self._runner.begin()
        self._runner.do(task, on_rows=self._go_on)
        self._committed += 1

    def _go_on(self, _rows: int) -> None:
        if self._interrupted:
            raise StreamError("rows were being computed when their source was closed")

    def _measure(self, task: int, aside: ObjectStore) -> None:
        """Compute a task and keep its statistics in `aside`; its rows are kept for open streams."""
        reader = next(reversed(self._readers.values()), None)
        if reader is None:
            raise StreamError("open a stream before asking for statistics: the rows that are measured are kept for it")
        rows = reader.measured(task)
        frozen, parallel = self._plan.frozen, self._threads.map
        work = self._plan.tasks.task(task)
        shards = encode_task(frozen, work, rows, name_of=self._source.sequence_id, parallel=parallel)
        commit = commit_of(frozen, task, shards, parallel=parallel)
        publish_task(aside, commit, {path: shard for path, shard in shards.items() if path.startswith("statistics/")})

    def _keep_within(self, stream: Stream, columns: StoredColumns, request: StreamRequest, most_passes: float) -> None:
        """Keep the tasks of a stream; refuse a stream that computes them too often."""
        frozen = self.manifest.frozen
        fills = [[task for task in tasks if task in self._missing] for tasks in stream.fill_tasks()]
        kept_bytes = DEFAULT_KEPT_BYTES if self._cache_bytes is None else self._cache_bytes
        task_bytes = max(frozen.rows_of(task) for task in range(frozen.tasks)) * columns.layout.row_bytes
        self._cost = live_cost(fills, task_bytes=task_bytes, kept_bytes=kept_bytes)
        self._readers[columns.site_columns].kept.want({task for tasks in fills for task in tasks})
        if not self._cost.passes <= most_passes:  # so that NaN allows nothing
            raise StreamError(
                f"{self._name}: an epoch of {request.split or 'all splits'} would run the model "
                f"{self._cost.passes:.1f} times over each of {self._cost.tasks:,} tasks, since a batch mixes rows of "
                f"many and {kept_bytes:,} bytes cannot hold them; keep {self._cost.needed_bytes:,} (--cache-bytes, "
                "with --cache FOLDER on disk), use a larger buffer, allow it (--most-passes), or extract a store"
            )
