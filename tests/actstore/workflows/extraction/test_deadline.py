"""When a run stops, by a clock that the test holds."""

import os
import signal
import threading
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
    assert stop.reason == "signal"
    with pytest.raises(Interrupted), stop.interruptible():
        pytest.fail("nothing is begun")


class TestSigterm:
    def test_requests_the_stop_and_is_what_it_was_afterwards(self) -> None:
        stop, before = Stop(), signal.getsignal(signal.SIGTERM)
        with stop.on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.must_drop()
        assert signal.getsignal(signal.SIGTERM) is before

    def test_breaks_off_what_nobody_will_miss(self) -> None:
        stop = Stop()
        with stop.on_sigterm(), pytest.raises(Interrupted), stop.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.must_drop()

    def test_does_not_break_off_the_cleaning_up_when_it_comes_twice(self) -> None:
        stop, cleaned = Stop(), []

        def clean_up() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)

        def stopped() -> None:
            with stop.interruptible(), ExitStack() as stack:
                stack.callback(clean_up)
                os.kill(os.getpid(), signal.SIGTERM)

        with stop.on_sigterm(), pytest.raises(Interrupted):
            stopped()
        assert cleaned

    def test_is_left_alone_in_other_threads(self) -> None:
        found = []

        def look() -> None:
            with Stop().on_sigterm():
                found.append(signal.getsignal(signal.SIGTERM))

        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert found == [before]
