"""Fills are loaded by threads, one ahead; errors and a close reach the consumer at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, StreamError
from actstore.stream import prefetch as module
from actstore.stream.order import Fill, TaskRuns, WindowOrder
from actstore.stream.prefetch import FillFetcher
from actstore.stream.stages import BufferedStage, Job, LoadedFill
from actstore.testing.fake_reader import FakeReader

TASKS = dict.fromkeys(range(6), 64)
FILL_ROWS = 48
PATIENCE_S = 60
"""What is waited for comes at once; a test that waits so long has failed."""


class GatedReader(FakeReader):
    """Reads windows of a task only while its gate is open, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__(TASKS, task_rows=64, sites=["embed"], width=4)
        self.shut: dict[RowWindow, threading.Event] = {}
        self.entered = threading.Semaphore(0)
        self.done: set[RowWindow] = set()
        self.changed = threading.Condition()
        self.bad: RowWindow | None = None

    def shut_out(self, *windows: RowWindow) -> threading.Event:
        """Let nobody read these windows until the event that is returned is set."""
        gate = threading.Event()
        self.shut |= dict.fromkeys(windows, gate)
        return gate

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        self.entered.release()
        try:
            if window in self.shut:
                assert self.shut[window].wait(PATIENCE_S)
            if window == self.bad:
                raise CorruptObjectError(f"sites/embed/values/c/{window.task}/0 (task {window.task}): damaged")
            super().read(window, into)
        finally:
            with self.changed:
                self.done.add(window)
                self.changed.notify_all()

    def wait_until_read(self, fill: Fill) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.done.issuperset(fill.windows), PATIENCE_S)


class CountingStage(BufferedStage):
    """Remembers how many fills are in its hands."""

    def __init__(self, reader: GatedReader) -> None:
        super().__init__(reader, rows=FILL_ROWS)
        self.begun = self.given_back = self.closed = 0

    def begin(self, fill: Fill) -> tuple[LoadedFill, list[Job]]:
        self.begun += 1
        return super().begin(fill)

    def release(self, loaded: LoadedFill) -> None:
        self.given_back += 1
        super().release(loaded)

    def close(self) -> None:
        self.closed += 1
        super().close()


class Fetching(NamedTuple):
    """A fetcher and what it works with."""

    fetcher: FillFetcher
    stage: CountingStage
    reader: GatedReader

    def start(self, fill: Fill) -> None:
        self.fetcher.start(lambda: fill)


@contextmanager
def fetching(threads: int = 3) -> Iterator[Fetching]:
    reader = GatedReader()
    stage = CountingStage(reader)
    fetcher = FillFetcher(stage, threads=threads)
    try:
        yield Fetching(fetcher, stage, reader)
    finally:
        for gate in reader.shut.values():
            gate.set()
        fetcher.close()
        end_of_threads()


def end_of_threads() -> None:
    """Wait for the threads that fetch; fail if one of them stays."""
    for thread in threading.enumerate():
        if thread.name.startswith("actstore-fetch"):
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} is left"


def fills() -> list[Fill]:
    order = WindowOrder(TaskRuns.of(list(TASKS.items()), task_rows=64), window_rows=8, seed=0, epoch=0)
    return [order.fill(start, start + FILL_ROWS) for start in range(0, 6 * 64, FILL_ROWS)]


def holds_its_rows(loaded: LoadedFill) -> bool:
    alone = FakeReader(TASKS, task_rows=64, sites=["embed"], width=4)
    stage = BufferedStage(alone, rows=FILL_ROWS)
    expected, jobs = stage.begin(loaded.fill)
    for job in jobs:
        job()
    found, wanted = ([*each.buffer.values, each.buffer.scale_RTG, *each.buffer.origin] for each in (loaded, expected))
    return [array.tobytes() for array in found] == [array.tobytes() for array in wanted]


def in_thread(act: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Start something in another thread; return it and where its error will be."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except StreamError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_every_fill_holds_its_rows(threads: int) -> None:
    with fetching(threads) as it:
        for fill in fills():
            it.start(fill)
            loaded = it.fetcher.take()
            assert loaded.fill is fill
            assert holds_its_rows(loaded)


def test_fills_are_worked_out_in_a_thread() -> None:
    consumer = threading.get_ident()
    workers = []

    def plan() -> Fill:
        workers.append(threading.get_ident())
        return fills()[0]

    with fetching() as it:
        it.fetcher.start(plan)
        it.fetcher.take()
    assert consumer not in workers
    assert len(workers) == 1


def test_a_buffer_is_not_written_while_it_is_read() -> None:
    """The next fill is loaded while the consumer works; what it holds does not change under its hands."""
    with fetching() as it:
        it.start(fills()[0])
        for following in [*fills()[1:], None]:
            loaded = it.fetcher.take()
            if following is not None:
                it.start(following)
                it.reader.wait_until_read(following)
            assert holds_its_rows(loaded)


def test_reading_happens_ahead_of_the_consumer() -> None:
    with fetching() as it:
        it.start(fills()[0])
        it.reader.wait_until_read(fills()[0])


def test_no_more_than_two_fills_are_held() -> None:
    """One with the consumer, one on its way: it cannot ask for a third, and nothing is begun unasked."""
    with fetching() as it:
        it.start(fills()[0])
        for turn, fill in enumerate(fills()[1:]):
            it.fetcher.take()
            assert it.stage.given_back == turn
            it.start(fill)
            it.reader.wait_until_read(fill)
            with pytest.raises(RuntimeError, match="while a fill is being loaded"):
                it.start(fill)
            assert it.stage.begun - it.stage.given_back == 2


def test_an_error_in_a_thread_reaches_the_consumer_and_the_next_fill_is_whole() -> None:
    first, second = fills()[:2]
    with fetching() as it:
        it.reader.bad = first.windows[2]
        it.start(first)
        with pytest.raises(CorruptObjectError, match="damaged"):
            it.fetcher.take()
        it.start(second)
        assert holds_its_rows(it.fetcher.take())


def test_an_error_does_not_wait_for_a_thread_that_is_stuck() -> None:
    first, second = fills()[:2]
    with fetching(threads=2) as it:
        it.reader.shut_out(first.windows[0])
        it.reader.bad = first.windows[-1]
        it.start(first)
        with pytest.raises(CorruptObjectError, match="damaged"):
            it.fetcher.take()
        assert first.windows[0] not in it.reader.done, "it waited for the other thread"
        it.start(second)
        assert holds_its_rows(it.fetcher.take()), "with the one thread that is left"


def test_an_error_while_a_fill_is_worked_out_reaches_the_consumer() -> None:
    def plan() -> Fill:
        raise CorruptObjectError("no such fill")

    with fetching() as it:
        it.fetcher.start(plan)
        with pytest.raises(CorruptObjectError, match="no such fill"):
            it.fetcher.take()


def test_what_was_given_up_is_never_written_into_buffers_in_use() -> None:
    """Reads that were under way end late, when other fills have come and gone in the same memory."""
    first, *others = fills()
    with fetching(threads=4) as it:
        gate = it.reader.shut_out(*first.windows[:2])
        it.start(first)
        for _ in range(2):
            assert it.reader.entered.acquire(timeout=PATIENCE_S)
        it.fetcher.cancel()
        loaded = []
        for fill in others[:2]:
            it.start(fill)
            loaded.append(it.fetcher.take())
        gate.set()
        it.fetcher._pool.shutdown(wait=True)
        assert all(holds_its_rows(each) for each in loaded)


def test_reads_that_had_not_begun_when_given_up_never_begin() -> None:
    first, second = fills()[:2]
    with fetching(threads=1) as it:
        gate = it.reader.shut_out(*first.windows)
        it.start(first)
        assert it.reader.entered.acquire(timeout=PATIENCE_S)
        it.fetcher.cancel()
        gate.set()
        it.start(second)
        assert holds_its_rows(it.fetcher.take())
        entered = 0
        while it.reader.entered.acquire(blocking=False):
            entered += 1
        assert entered == len(second.windows)


def test_cancelling_gives_back_what_was_taken() -> None:
    with fetching() as it:
        it.start(fills()[0])
        it.fetcher.take()
        it.fetcher.cancel()
        assert it.stage.given_back == 1
        it.fetcher.cancel()
        assert it.stage.given_back == 1


def test_closing_ends_a_waiting_consumer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while a read hangs; what it reads from is closed when it ends, not under its hands."""
    monkeypatch.setattr(module, "_CLOSE_S", 0.01)
    with fetching() as it:
        gate = it.reader.shut_out(*fills()[0].windows)
        it.start(fills()[0])
        consumer, raised = in_thread(it.fetcher.take)
        assert it.reader.entered.acquire(timeout=PATIENCE_S)
        it.fetcher.close()
        consumer.join(PATIENCE_S)
        assert not consumer.is_alive()
        assert "closed" in str(raised[0])
        assert it.stage.closed == 0
        gate.set()
        end_of_threads()
        assert (it.stage.closed, it.reader.closed) == (1, True)


def test_a_fill_is_not_given_back_to_a_stage_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may close just when the consumer takes the next fill."""
    closed_during_release: list[int] = []
    with fetching() as it:
        it.start(fills()[0])
        it.fetcher.take()
        it.start(fills()[1])

        def release(loaded: LoadedFill) -> None:
            closing, _ = in_thread(it.fetcher.close)
            closing.join(0.1)
            closed_during_release.append(it.stage.closed)

        monkeypatch.setattr(it.stage, "release", release)
        it.fetcher.take()
    assert closed_during_release == [0]


def test_closing_leaves_no_threads_and_may_be_repeated() -> None:
    with fetching() as it:
        it.start(fills()[0])
        assert any(thread.name.startswith("actstore-fetch") for thread in threading.enumerate())
        it.fetcher.close()
        end_of_threads()
        it.fetcher.close()
        assert it.reader.closed
        assert it.stage.closed == 1


def test_nothing_is_had_of_a_closed_fetcher() -> None:
    with fetching() as it:
        it.fetcher.close()
        with pytest.raises(StreamError, match="closed"):
            it.start(fills()[0])
        with pytest.raises(StreamError, match="closed"):
            it.fetcher.take()


def test_waiting_is_measured() -> None:
    with fetching() as it:
        gate = it.reader.shut_out(*fills()[0].windows)
        it.start(fills()[0])
        assert it.fetcher.wait_s == 0
        opening = threading.Timer(0.05, gate.set)
        opening.start()
        it.fetcher.take()
        opening.join()
        assert it.fetcher.wait_s > 0


def test_taking_without_starting_is_a_mistake() -> None:
    with fetching() as it, pytest.raises(RuntimeError, match="without start"):
        it.fetcher.take()
