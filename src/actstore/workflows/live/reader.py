"""Readers whose windows the model computes: all of them, or those that a store does not have yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ActivationModel, Site
from actstore.contracts.sequences import ResidueSource
from actstore.contracts.tasks import Task, TaskRows
from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.errors import StreamError
from actstore.extract.task import extract_task
from actstore.extract.threads import LoneThreads
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.store.write.commit import is_committed
from actstore.store.write.writer import check_overflow, encode_site
from actstore.workflows.extraction.plan import ExtractionPlan
from actstore.workflows.live.kept_rows import KeptRows

__all__ = ["HybridReader", "LiveReader", "OnceAtATime"]


class OnceAtATime:
    """Does a piece of work once if several threads want it at the same time; the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[int, Future[Any]] = {}

    def __call__(self, key: int, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the result of any work
        """Return what the work returns, or raise what it raises, in every thread that wants it."""
        with self._lock:
            known = self._under_way.get(key)
            if known is None:
                mine = self._under_way[key] = Future()
        if known is not None:
            return known.result()
        try:
            mine.set_result(work())
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[key]
        return mine.result()


class LiveReader:
    """Computes windows: runs the model over a task and encodes its rows as a store would; a `WindowReader`.

    The rows of a task are permuted, so any window of it needs most of its sequences: tasks are computed as a whole,
    one at a time, and kept as long as there is room. The model runs up to the last site that is streamed. On one kind
    of processor the encoded rows equal those of a store to the bit.

    Parameters
    ----------
    plan, source, model
        What rows there are, and where they come from.
    columns
        What a row consists of. Scales of other sites are left at zero.
    kept
        Keeps the rows of tasks.
    threads
        Run the forward passes; the caller closes them.
    """

    def __init__(
        self,
        plan: ExtractionPlan,
        source: ResidueSource,
        model: ActivationModel,
        columns: StoredColumns,
        *,
        kept: KeptRows,
        threads: LoneThreads,
    ) -> None:
        self._plan = plan
        self._source = source
        self._model = model
        self._streamed = model.only([plan.frozen.sites[index].name for index in columns.site_columns])
        self._columns = columns
        self.kept = kept
        self._threads = threads
        self._once = OnceAtATime()
        self._computing = threading.Lock()
        self._interrupted = False
        self.tasks_computed = 0
        """How often a task was computed."""

    @property
    def layout(self) -> RowLayout:
        """What a row consists of."""
        return self._columns.layout

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window; see `WindowReader`.

        Raises
        ------
        CorpusError, ModelError, NumericsError
            If the model fails.
        StreamError
            If the reader was interrupted.
        """
        into.check(window)
        window.check(self._plan.frozen.rows_of(window.task))
        here = self.task(window.task).part(window.start, window.stop)
        for column, found in zip(self._columns.columns(into), self._columns.columns(here), strict=True):
            column[:] = found

    def task(self, task: int) -> RowBuffer:
        """Return all rows of a task; raises as `read`."""
        found = self.kept.get(task)
        if found is not None:
            return found
        rows: RowBuffer = self._once(task, lambda: self.kept.get(task) or self._compute(task, self._streamed)[1])
        return rows

    def measured(self, task: int) -> TaskRows:
        """Compute a task at all sites and return its rows before they were encoded; they are kept. Raises as `read`."""
        return self._compute(task, self._model)[0]

    def interrupt(self) -> None:
        """Make current computations end soon, with an error."""
        self._interrupted = True

    def close(self) -> None:
        """Release nothing: several streams share this reader, and its maker owns what it holds."""

    def _compute(self, index: int, model: ActivationModel) -> tuple[TaskRows, RowBuffer]:
        """Run the model over a task; return its rows, plain and encoded."""
        with self._computing:
            self._go_on(0)
            task = self._plan.tasks.task(index)
            rows = extract_task(
                task,
                self._source,
                model,
                tokens_per_batch=self._plan.frozen.tokens_per_batch,
                parallel=self._threads.map,
                on_rows=self._go_on,
            )
            encoded = self._encode(task, rows)
            self.kept.add(index, encoded)
            self.tasks_computed += 1
            return rows, encoded

    def _encode(self, task: Task, rows: TaskRows) -> RowBuffer:
        frozen, layout = self._plan.frozen, self.layout
        buffer = RowBuffer.allocate(task.rows, layout)
        buffer.origin.sequence_R[:] = rows.sequence_N
        buffer.origin.position_R[:] = rows.position_N
        buffer.origin.token_R[:] = rows.token_N
        if buffer.scale_RTG is not None:
            buffer.scale_RTG[:] = 0

        def encode(slot: int) -> None:
            index = self._columns.site_columns[slot]
            site: Site = frozen.sites[index]
            check_overflow(frozen, site, rows, name_of=self._source.sequence_id)
            planes = encode_site(frozen, site, rows.values[site.name], task=task.index)
            buffer.values[slot][:] = planes.values_ND
            if buffer.scale_RTG is not None and planes.scale_NG is not None:
                buffer.scale_RTG[:, index, : planes.scale_NG.shape[1]] = planes.scale_NG

        for _ in self._threads.map(encode, range(layout.sites)):
            pass
        return buffer

    def _go_on(self, _rows: int) -> None:
        if self._interrupted:
            raise StreamError("the rows were being computed when their source was closed")


class HybridReader:
    """Reads the rows that a store has, and computes the others; a `WindowReader`.

    Parameters
    ----------
    objects
        The store.
    stored
        Reads it, also tasks that are committed later.
    supply
        Called with a window of a task that is not committed: fills the buffer, or commits the task and returns False.
    missing
        Tasks that were not committed before.
    """

    def __init__(
        self,
        objects: ObjectStore,
        stored: StoreReader,
        supply: Callable[[RowWindow, RowBuffer], bool],
        missing: Iterable[int],
    ) -> None:
        self._objects = objects
        self._stored = stored
        self._supply = supply
        self._missing = set(missing)

    @property
    def layout(self) -> RowLayout:
        """What a row consists of."""
        return self._stored.layout

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window; raises as `StoreReader` and `LiveReader` do."""
        if window.task in self._missing:
            if not is_committed(self._objects, window.task) and self._supply(window, into):
                return
            self._missing.discard(window.task)
        self._stored.read(window, into)

    def close(self) -> None:
        """Forget what was read."""
        self._stored.close()
