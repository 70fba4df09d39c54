"""Leave in time: what a program says and puts away when a signal ends it, in five seconds at the latest.

A signal asks the work to end in good order (`actstore.workflows.extraction.deadline.Stop`). But a thread may wait for a
silent server, and the main thread may be inside a forward pass, where Python does not run signal handlers. So a thread
of its own sees the signals, too, and ends the process if the work has not ended by then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Literal, NoReturn

__all__ = [
    "GRACE_S",
    "Interrupted",
    "StopReason",
    "Watch",
    "if_stopped",
    "leave_in_time",
    "putting_away",
    "signal_words",
    "signals_to",
]

StopReason = Literal["time", "request", "SIGINT", "SIGTERM"]
"""A time limit, a call of `Stop.request`, or a signal."""
GRACE_S: Final = 3.5
"""Time for the work to end in good order; putting away takes at most `_PUT_AWAY_S` more."""
_PUT_AWAY_S: Final = 1.0
_ONE_REQUEST_S: Final = 0.25
"""Signals that follow each other faster are one request: `timeout` and `srun` send to a process and to its group."""
_LEAVE: Final = (signal.SIGINT, signal.SIGTERM)
_WORDS: Final = {signal.SIGINT: "Ctrl-C (SIGINT)", signal.SIGTERM: "SIGTERM"}
_IGNORED: Final = (signal.SIGINT, signal.SIG_IGN)
_OVER: Final = b"\0"
_SHOW_CURSOR: Final = "\x1b[?25h"

_says: list[Callable[[], str]] = []
_acts: list[Callable[[], object]] = []


class Interrupted(BaseException):
    """The work was told to stop.

    Parameters
    ----------
    says
        Where things are, and how to continue. If empty, the innermost `if_stopped` around gives it.
    number
        The signal, for which `actstore.run_command` exits with 130 or 143; None if no signal came.
    """

    def __init__(self, says: str = "", *, number: int | None = None) -> None:
        super().__init__(says)
        self.says = says
        self.number = number


@contextmanager
def if_stopped(says: Callable[[], str]) -> Iterator[None]:
    """State what is true, and how to continue, if the work inside is stopped.

    Parameters
    ----------
    says
        Returns one line; called in any thread, so it must not wait for anything.
    """
    _says.append(says)
    try:
        yield
    except Interrupted as told:
        told.says = told.says or says()
        raise
    finally:
        _says.remove(says)


@contextmanager
def putting_away(act: Callable[[], object]) -> Iterator[None]:
    """Have something put away if the process must end while the work inside still runs; otherwise the caller does it.

    Parameters
    ----------
    act
        Called in another thread; it must not wait for the work. It has a second.
    """
    _acts.append(act)
    try:
        yield
    finally:
        _acts.remove(act)


def signal_words(number: int) -> str:
    """Return the name of a signal in messages."""
    return _WORDS[signal.Signals(number)]


@contextmanager
def signals_to(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have SIGINT (Ctrl-C) and SIGTERM call a handler.

    In threads other than the main one signals stay as they are. So does SIGINT if it is ignored, as in commands that a
    shell runs in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in _LEAVE if (number, signal.getsignal(number)) != _IGNORED]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def leave_in_time() -> Iterator[Watch]:
    """Have the process end in time after SIGINT or SIGTERM, and at once after a second one.

    The time counts from the signal, also after the work inside has ended: Python then waits for threads. Signals must
    have Python handlers meanwhile. In threads other than the main one nothing is watched.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    watch.begin()
    try:
        yield watch
    finally:
        if watch.number is None:
            watch.end()


class Watch:
    """Sees signals, whatever the main thread does."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The first signal, once it has come."""
        self._before = -1
        self._reading = self._writing = -1

    def begin(self) -> None:
        """Watch in a thread; only from the main thread."""
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        _watching.append(self)
        threading.Thread(target=self._see, name="actstore-signals", daemon=True).start()

    def end(self) -> None:
        """Watch no more; only from the main thread."""
        signal.set_wakeup_fd(self._before)
        _watching.remove(self)
        os.write(self._writing, _OVER)
        os.close(self._writing)

    def leave(self, code: int) -> NoReturn:
        """Exit; after a signal without the end that Python makes, which waits for threads and may take seconds."""
        if self.number is None:
            sys.exit(code)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    def _see(self) -> None:
        came_s: float | None = None
        poll = select.poll()  # `select.select` refuses a process with a thousand open files
        poll.register(self._reading, select.POLLIN)
        while True:
            left_s = None if came_s is None else max(came_s + GRACE_S - time.monotonic(), 0.0)
            if not poll.poll(None if left_s is None else 1000 * left_s):
                _leave_now(self.number or signal.SIGTERM, "the work in hand did not end in time")
            seen = os.read(self._reading, 64)
            for number in filter(_LEAVE.__contains__, seen):
                if came_s is None:
                    self.number, came_s = self.number or number, time.monotonic()
                elif time.monotonic() - came_s >= _ONE_REQUEST_S:
                    _leave_now(self.number or number, "at once, since a second signal came")
            if seen.endswith(_OVER):
                os.close(self._reading)
                if came_s is not None:  # while the work ended, too late for it to know
                    time.sleep(max(came_s + GRACE_S - time.monotonic(), 0.0))
                    _leave_now(self.number or signal.SIGTERM, "the program did not end in time")
                return


_watching: list[Watch] = []


def _leave_now(number: int, why: str) -> None:
    """End the process, whatever its threads do. What is committed or in place stays; the rest was never visible."""
    words = [f"stopped by {signal_words(number)}: {why}"]
    if _says:
        with suppress(Exception):  # the thread that keeps the facts may be changing them
            words.append(_says[-1]())
    away = threading.Thread(target=_put_away, daemon=True)
    away.start()
    away.join(_PUT_AWAY_S)
    with suppress(OSError):
        cursor = _SHOW_CURSOR if os.isatty(sys.__stderr__.fileno()) else ""  # type: ignore[union-attr]
        # Not through sys.stderr: a thread that was stopped while it wrote may hold its lock.
        os.write(2, f"{cursor}{'; '.join(words)}\n".encode(errors="backslashreplace"))
    os._exit(128 + number)


def _put_away() -> None:
    for act in reversed(_acts):
        with suppress(Exception):  # whatever one of them meets, the others come next
            act()


def _in_a_forked_child() -> None:
    """Leave signals to the parent: a child would write into its pipe."""
    if not _watching:
        return
    _watching.clear()
    _says.clear()
    _acts.clear()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both, and the parent ends the child
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_forked_child)
