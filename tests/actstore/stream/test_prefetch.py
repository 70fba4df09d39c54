"""Fills are fetched by threads, one ahead, into two buffers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError
from actstore.stream.order import EpochOrder, Fill, cut_task_windows
from actstore.stream.prefetch import FillFetcher
from actstore.testing.fake_reader import FakeReader

TASKS = dict.fromkeys(range(6), 64)
FILL_ROWS = 48


def allocate() -> RowBuffer:
    return RowBuffer.allocate(FILL_ROWS, 1, 4, np.dtype(np.int8), scaled=True)


def fills() -> list[Fill]:
    windows = cut_task_windows(list(TASKS.items()), window_rows=8)
    order = EpochOrder(windows, fill_rows=FILL_ROWS, seed=0, epoch=0)
    return [order.fill(index) for index in range(order.fills)]


def expected_rows(fill: Fill) -> list[int]:
    return [window.task * 64 + row for window in fill.windows for row in range(window.start, window.stop)]


class GatedReader(FakeReader):
    """Reads only while its gate is open, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__(TASKS, task_rows=64, sites=["embed"], width=4)
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.bad: RowWindow | None = None

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        self.entered.release()
        assert self.gate.wait(timeout=60)
        if window == self.bad:
            raise CorruptObjectError(f"sites/embed/values/c/{window.task}/0 (task {window.task}): damaged")
        super().read(window, into)


@pytest.fixture
def reader() -> GatedReader:
    return GatedReader()


@contextmanager
def fetching(reader: GatedReader, threads: int = 3) -> Iterator[FillFetcher]:
    fetcher = FillFetcher(reader, allocate, threads=threads)
    try:
        yield fetcher
    finally:
        reader.gate.set()
        fetcher.close()


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_every_fill_holds_its_windows_in_order(reader: GatedReader, threads: int) -> None:
    reader.gate.set()
    with fetching(reader, threads) as fetcher:
        for fill in fills():
            fetcher.start(fill)
            taken, buffer = fetcher.take()
            assert taken is fill
            assert buffer.row_N.tolist() == expected_rows(fill)


def test_a_buffer_is_not_written_while_it_is_read(reader: GatedReader) -> None:
    """The next fill is under way while the consumer works; what it holds does not change under its hands."""
    reader.gate.set()
    with fetching(reader) as fetcher:
        all_fills = fills()
        fetcher.start(all_fills[0])
        for fill, following in zip(all_fills, [*all_fills[1:], None], strict=True):
            _, buffer = fetcher.take()
            if following is not None:
                fetcher.start(following)
                wait_until_read(fetcher)
            assert buffer.row_N.tolist() == expected_rows(fill)
            assert buffer.values_NSD.tobytes() == read_alone(fill).values_NSD.tobytes()


def test_reading_happens_ahead_of_the_consumer(reader: GatedReader) -> None:
    with fetching(reader) as fetcher:
        fetcher.start(fills()[0])
        for _ in range(3):
            assert reader.entered.acquire(timeout=60), "no thread began to read before `take`"


def test_two_buffers_serve_all_fills(reader: GatedReader) -> None:
    reader.gate.set()
    allocated: list[RowBuffer] = []

    def counted() -> RowBuffer:
        allocated.append(allocate())
        return allocated[-1]

    fetcher = FillFetcher(reader, counted, threads=2)
    for fill in fills():
        fetcher.start(fill)
        fetcher.take()
    fetcher.close()
    assert len(allocated) == 2


def test_an_error_in_a_thread_reaches_the_consumer(reader: GatedReader) -> None:
    fill = fills()[0]
    reader.bad = fill.windows[2]
    reader.gate.set()
    with fetching(reader) as fetcher:
        fetcher.start(fill)
        with pytest.raises(CorruptObjectError, match="damaged"):
            fetcher.take()
        reader.bad = None
        fetcher.start(fill)
        assert fetcher.take()[1].row_N.tolist() == expected_rows(fill)


def test_cancelling_returns_when_no_thread_writes_any_more(reader: GatedReader) -> None:
    first, second = fills()[:2]
    with fetching(reader) as fetcher:
        fetcher.start(first)
        for _ in range(3):
            assert reader.entered.acquire(timeout=60)
        cancelled = threading.Thread(target=fetcher.cancel)
        cancelled.start()
        cancelled.join(timeout=0.05)
        assert cancelled.is_alive(), "cancel() returned while reads were under way"
        reader.gate.set()
        cancelled.join(timeout=60)
        # The three reads under way finished; those that had not begun were dropped.
        assert not reader.entered.acquire(blocking=False)
        fetcher.start(second)
        assert fetcher.take()[1].row_N.tolist() == expected_rows(second)


def test_closing_ends_the_threads(reader: GatedReader) -> None:
    fetcher = FillFetcher(reader, allocate, threads=3)
    fetcher.start(fills()[0])
    assert any(thread.name.startswith("actstore-fetch") for thread in threading.enumerate())
    reader.gate.set()
    fetcher.close()
    assert not any(thread.name.startswith("actstore-fetch") for thread in threading.enumerate())
    fetcher.close()


def test_waiting_is_measured(reader: GatedReader) -> None:
    with fetching(reader) as fetcher:
        fetcher.start(fills()[0])
        assert fetcher.wait_s == 0
        opening = threading.Timer(0.05, reader.gate.set)
        opening.start()
        fetcher.take()
        opening.join()
        waited = fetcher.wait_s
        assert waited > 0
        fetcher.start(fills()[1])
        wait_until_read(fetcher)
        fetcher.take()
        assert fetcher.wait_s - waited < waited


def test_taking_without_starting_is_a_mistake(reader: GatedReader) -> None:
    with fetching(reader) as fetcher, pytest.raises(RuntimeError, match="without start"):
        fetcher.take()


def wait_until_read(fetcher: FillFetcher) -> None:
    """Wait for the threads, but take nothing."""
    assert fetcher._pending is not None
    for future in fetcher._pending[2]:
        future.result(timeout=60)


def read_alone(fill: Fill) -> RowBuffer:
    alone = FakeReader(TASKS, task_rows=64, sites=["embed"], width=4)
    buffer, row = allocate(), 0
    for window in fill.windows:
        alone.read(window, buffer.part(row, row + window.stop - window.start))
        row += window.stop - window.start
    return buffer.part(0, fill.rows)
