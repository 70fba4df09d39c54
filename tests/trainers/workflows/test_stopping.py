"""Ctrl-C and SIGTERM keep the step in hand."""

import os
import signal
import threading
import time

import pytest

from trainers.workflows.stopping import Stopped, StopSignals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code", "cause"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_what_can_be_lost_at_once(number: int, code: int, cause: str) -> None:
    signals = StopSignals()
    with pytest.raises(Stopped) as stopped, signals.listening():
        send(number)
    assert (stopped.value.exit_code, stopped.value.cause) == (code, cause)


def test_where_something_must_be_kept_a_signal_is_only_recorded_and_ends_what_waits() -> None:
    signals, woken = StopSignals(), threading.Event()
    with signals.listening(), signals.deferred(woken.set):
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # as a parent passes it on
        assert woken.wait(timeout=10)
        assert signals.requested
    assert signals.stopped("kept").exit_code == 143


def test_a_later_second_signal_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = StopSignals()
    with signals.listening(), signals.deferred(lambda: None):
        send(signal.SIGINT)
        later = time.monotonic() + 2
        monkeypatch.setattr("trainers.workflows.stopping.time.monotonic", lambda: later)
        with pytest.raises(Stopped):
            send(signal.SIGINT)


def test_signals_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopSignals().listening():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    """A shell without job control starts commands in the background so; Ctrl-C is then for somebody else."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals().listening():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in {signal.SIG_DFL, signal.SIG_IGN}
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def listen() -> None:
        with StopSignals().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_script_that_tries_several_runs_ends_too() -> None:
    assert issubclass(Stopped, KeyboardInterrupt)
    assert not issubclass(Stopped, Exception)
