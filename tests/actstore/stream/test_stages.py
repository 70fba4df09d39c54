"""Room for fills: buffers that are read into, or rows where they lie."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.errors import CorruptObjectError
from actstore.store.read.mapped import MappedRows
from actstore.store.read.open import locate_store
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.stream.order import Fill, TaskRuns, UniformOrder, WindowOrder
from actstore.stream.stages import BufferedStage, FillStage, LoadedFill, MappedStage
from actstore.testing.fake_reader import FakeReader

StoreOf = Callable[..., Path]
TASKS = dict.fromkeys(range(6), 64)
FILL_ROWS = 48


class Rows:
    """Stands in for `MappedRows`, and remembers what is asked of it."""

    def __init__(self) -> None:
        self.buffer = RowBuffer.allocate(6 * 64, RowLayout(1, 1, np.dtype("<f2")))
        self.admitted: list[RowWindow] = []
        self.released: list[RowWindow] = []
        self.bad: RowWindow | None = None
        self.closed = False

    def slots(self, row_N: NDArray[np.int64]) -> NDArray[np.int64]:
        return row_N + 1

    def admit(self, window: RowWindow) -> None:
        if window == self.bad:
            raise CorruptObjectError("damaged")
        self.admitted.append(window)

    def release(self, window: RowWindow) -> None:
        self.released.append(window)

    def close(self) -> None:
        self.closed = True


def mapped(rows: Rows, *, everywhere: Sequence[RowWindow] = ()) -> MappedStage:
    return MappedStage(cast("MappedRows", rows), everywhere=everywhere)


def fills() -> list[Fill]:
    order = WindowOrder(TaskRuns.of(list(TASKS.items()), task_rows=64), window_rows=8, seed=0, epoch=0)
    return [order.fill(start, start + FILL_ROWS) for start in range(0, 6 * 64, FILL_ROWS)]


def load(stage: FillStage, fill: Fill) -> LoadedFill:
    """Do the jobs, in an order in which threads might."""
    loaded, jobs = stage.begin(fill)
    for index in np.random.default_rng(0).permutation(len(jobs)):
        jobs[index]()
    return loaded


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader(TASKS, task_rows=64, sites=["embed"], width=4)


def test_a_buffer_holds_the_rows_of_its_fill(reader: FakeReader) -> None:
    stage = BufferedStage(reader, rows=FILL_ROWS)
    assert stage.name == "buffered"
    for fill in fills():
        loaded = load(stage, fill)
        assert loaded.fill is fill
        for row, place in zip(fill.row_R.tolist(), loaded.take_R.tolist(), strict=True):
            alone = RowBuffer.allocate(1, reader.layout)
            reader.read(RowWindow(row // 64, row % 64, row % 64 + 1), alone)
            assert loaded.buffer.values[0][place].tolist() == alone.values[0][0].tolist()
            assert loaded.buffer.origin.sequence_R[place] == alone.origin.sequence_R[0]
        stage.release(loaded)


def test_two_buffers_are_enough_for_any_number_of_fills(reader: FakeReader) -> None:
    stage = BufferedStage(reader, rows=FILL_ROWS)
    held, buffers = None, []
    for fill in fills():
        loaded = load(stage, fill)
        buffers.append(loaded.buffer)
        if held is not None:
            assert loaded.buffer is not held.buffer
            stage.release(held)
        held = loaded
    assert len({id(buffer) for buffer in buffers}) == 2


def test_a_buffer_that_was_given_up_is_not_used_again(reader: FakeReader) -> None:
    stage = BufferedStage(reader, rows=FILL_ROWS)
    given_up = load(stage, fills()[0])
    stage.discard(given_up)
    assert all(load(stage, fill).buffer is not given_up.buffer for fill in fills()[1:3])


def test_closing_closes_the_reader(reader: FakeReader) -> None:
    stage = BufferedStage(reader, rows=FILL_ROWS)
    stage.close()
    assert reader.closed


def test_mapped_windows_are_admitted_and_rows_taken_from_their_slots() -> None:
    rows = Rows()
    stage = mapped(rows)
    assert stage.name == "mapped"
    fill = fills()[0]
    loaded = load(stage, fill)
    assert loaded.buffer is rows.buffer
    assert loaded.take_R.tolist() == (fill.row_R + 1).tolist()
    assert sorted(rows.admitted) == sorted(fill.windows)
    assert rows.released == []


def test_windows_are_let_go_when_the_fill_after_the_next_is_loaded() -> None:
    """Not while rows are still being gathered from them, and not by the consumer's own thread."""
    rows = Rows()
    stage = mapped(rows)
    first, second, third = (load(stage, fill) for fill in fills()[:3])
    stage.release(first)
    assert rows.released == []
    load(stage, fills()[3])
    assert rows.released == list(first.fill.windows)
    stage.release(second)
    stage.release(third)
    load(stage, fills()[4])
    assert rows.released == [*first.fill.windows, *second.fill.windows, *third.fill.windows]
    stage.discard(load(stage, fills()[5]))
    stage.close()
    assert rows.closed


def test_everything_is_checked_before_the_first_rows_that_lie_everywhere() -> None:
    rows = Rows()
    everywhere = [RowWindow(task, 0, 64) for task in TASKS]
    stage = mapped(rows, everywhere=everywhere)
    order = UniformOrder(TaskRuns.of(list(TASKS.items()), task_rows=64), seed=0, epoch=0)
    loaded = load(stage, order.fill(0, 10))
    assert sorted(rows.admitted) == everywhere
    assert loaded.take_R.tolist() == (loaded.fill.row_R + 1).tolist()
    stage.release(loaded)
    _, jobs = stage.begin(order.fill(10, 20))
    assert jobs == []
    assert rows.released == [], "rows that may be needed at any time stay"


def test_what_was_not_checked_yet_when_a_fill_was_given_up_is_checked_for_the_next() -> None:
    rows = Rows()
    everywhere = [RowWindow(task, 0, 64) for task in TASKS]
    rows.bad = everywhere[4]
    stage = mapped(rows, everywhere=everywhere)
    order = UniformOrder(TaskRuns.of(list(TASKS.items()), task_rows=64), seed=0, epoch=0)
    loaded, jobs = stage.begin(order.fill(0, 10))
    jobs[0]()
    with pytest.raises(CorruptObjectError):
        jobs[4]()
    stage.discard(loaded)
    rows.bad = None
    load(stage, order.fill(0, 10))
    assert sorted(rows.admitted) == everywhere


@pytest.mark.parametrize("task_rows", [1024, 4096])
def test_both_stages_hold_the_same_rows_of_a_store(store_of: StoreOf, task_rows: int) -> None:
    manifest, objects = locate_store(store_of(**({} if task_rows == 1024 else {"store.task_rows": task_rows})))
    assert isinstance(objects, LocalObjects)
    columns = StoredColumns.of(manifest, ["final_norm", "embed"], uri=objects.uri)
    frozen = manifest.frozen
    runs = TaskRuns.of([(task, frozen.rows_of(task)) for task in range(frozen.tasks)], task_rows=task_rows)
    buffered = BufferedStage(StoreReader(objects, manifest, columns), rows=1000)
    mapped_stage = MappedStage(MappedRows(objects, manifest, columns, runs.task_T.tolist()))
    order = WindowOrder(runs, window_rows=128, seed=0, epoch=0)
    for start in range(0, runs.rows, 1000):
        fill = order.fill(start, min(start + 1000, runs.rows))
        one, other = load(buffered, fill), load(mapped_stage, fill)
        left, right = one.buffer.origin.at(one.take_R), other.buffer.origin.at(other.take_R)
        np.testing.assert_array_equal(np.stack(left), np.stack(right))
        for left, right in zip(one.buffer.values, other.buffer.values, strict=True):
            assert left[one.take_R].tobytes() == right[other.take_R].tobytes()
        assert one.buffer.scale_RTG is not None
        assert other.buffer.scale_RTG is not None
        assert one.buffer.scale_RTG[one.take_R].tobytes() == other.buffer.scale_RTG[other.take_R].tobytes()
        buffered.release(one)
        mapped_stage.release(other)
