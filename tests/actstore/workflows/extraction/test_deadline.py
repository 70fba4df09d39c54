"""When a run stops, by a clock that the test holds."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from actstore.workflows.extraction.deadline import Interrupted, Stop


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_limit_nothing_stops(clock: Clock) -> None:
    stop = Stop(clock=clock)
    clock.now_s += 1e9
    assert stop.may_begin()
    assert not stop.must_drop()


def test_a_task_is_begun_only_if_the_median_one_would_end_in_time(clock: Clock) -> None:
    stop = Stop(after_s=100.0, clock=clock)
    for seconds in (1.0, 30.0, 500.0):
        stop.took(seconds)
    clock.now_s += 69.0
    assert stop.may_begin()
    clock.now_s += 1.0
    assert not stop.may_begin()
    assert not stop.must_drop()
    assert stop.reason == "time"


def test_the_first_task_is_begun_since_nobody_knows_how_long_it_takes_and_dropped_in_time(clock: Clock) -> None:
    stop = Stop(after_s=100.0, clock=clock)
    clock.now_s += 99.0
    assert stop.may_begin()
    assert not stop.must_drop()
    clock.now_s += 1.0
    assert stop.must_drop()
    assert not stop.may_begin()


def test_once_nothing_may_be_begun_a_faster_task_changes_nothing(clock: Clock) -> None:
    stop = Stop(after_s=100.0, clock=clock)
    stop.took(200.0)
    assert not stop.may_begin()
    stop.took(1.0)
    stop.took(1.0)
    assert not stop.may_begin()


def test_no_time_at_all_begins_nothing(clock: Clock) -> None:
    assert not Stop(after_s=0.0, clock=clock).may_begin()


def test_a_request_drops_at_once() -> None:
    stop = Stop()
    stop.request()
    assert not stop.may_begin()
    assert stop.must_drop()
    assert stop.reason == "request"
    with pytest.raises(Interrupted), stop.interruptible():
        pytest.fail("nothing is begun")


class TestSignals:
    @pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    def number(self, request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
        """Each of the two, with the handler that Python starts with."""
        number: signal.Signals = request.param
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        before = signal.signal(number, default)
        yield number
        signal.signal(number, before)

    def test_request_the_stop_and_are_what_they_were_afterwards(self, number: signal.Signals) -> None:
        stop, before = Stop(), signal.getsignal(number)
        with stop.on_signals():
            os.kill(os.getpid(), number)
        assert stop.must_drop()
        assert stop.reason == number.name
        assert signal.getsignal(number) is before

    def test_break_off_what_can_be_lost(self, number: signal.Signals) -> None:
        stop = Stop()
        with stop.on_signals(), pytest.raises(Interrupted) as told, stop.interruptible():
            os.kill(os.getpid(), number)
        assert stop.must_drop()
        assert told.value.number == number

    def test_do_not_break_off_the_cleaning_up_when_they_come_twice(self, number: signal.Signals) -> None:
        stop, cleaned = Stop(), []

        def clean_up() -> None:
            os.kill(os.getpid(), number)
            cleaned.append(True)

        def stopped() -> None:
            with stop.interruptible(), ExitStack() as stack:
                stack.callback(clean_up)
                os.kill(os.getpid(), number)

        with stop.on_signals(), pytest.raises(Interrupted):
            stopped()
        assert cleaned

    def test_are_left_alone_in_other_threads(self, number: signal.Signals) -> None:
        found = []

        def look() -> None:
            with Stop().on_signals():
                found.append(signal.getsignal(number))

        before = signal.getsignal(number)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert found == [before]

    def test_ctrl_c_is_for_the_foreground_only(self) -> None:
        """A shell has its background commands ignore it."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with Stop().on_signals():
                assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)
