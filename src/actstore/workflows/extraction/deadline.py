"""Stop before the end, after a time limit or on request: which tasks may still begin, and which are dropped."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import cast

from actstore.leaving import Interrupted, StopReason, signals_to

__all__ = ["Interrupted", "Stop"]


class Stop:
    """Says whether another task may be begun, and whether the one in the model must be dropped.

    With a time limit, a task is begun only if it would end in time, by the median duration of the tasks before it. When
    the time is over, a task in the model is dropped, and a task that is being written is finished. A request to stop
    has the same effect at once.

    Parameters
    ----------
    after_s
        Seconds from now; None for no limit.
    clock
        Gives the time in seconds.

    Examples
    --------
    >>> now = [0.0]
    >>> stop = Stop(after_s=100.0, clock=lambda: now[0])
    >>> stop.took(30.0), stop.may_begin()
    (None, True)
    >>> now[0] = 71.0
    >>> stop.may_begin(), stop.must_drop()
    (False, False)
    """

    def __init__(self, *, after_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_s = None if after_s is None else clock() + after_s
        # A plain attribute, not an event: a signal may come while the main thread holds the lock of one.
        self._requested = False
        self._signal: signal.Signals | None = None
        self._closed = False
        self._interruptible = False
        self._seconds: list[float] = []

    @property
    def reason(self) -> StopReason:
        """Why a run that is not done was stopped."""
        if self._signal is not None:
            return cast("StopReason", self._signal.name)
        return "request" if self._requested else "time"

    def interrupted(self, says: str = "") -> Interrupted:
        """Return the exception that ends a command that was stopped; see `Interrupted` for `says`."""
        return Interrupted(says, number=self._signal)

    def request(self) -> None:
        """Tell the run to stop as soon as possible."""
        self._requested = True

    def took(self, seconds: float) -> None:
        """Record how long a task took, from its beginning to its commit."""
        self._seconds.append(seconds)

    def may_begin(self) -> bool:
        """Return whether a task may be begun; once False, always False."""
        if not self._closed and self._ends_s is not None:
            expected_s = statistics.median(self._seconds) if self._seconds else 0.0
            self._closed = not self._clock() + expected_s < self._ends_s
        return not (self._closed or self._requested)

    def must_drop(self) -> bool:
        """Return whether a task that is in the model must be dropped."""
        return self._requested or (self._ends_s is not None and not self._clock() < self._ends_s)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Have SIGINT (Ctrl-C) and SIGTERM request the stop; see `signals_to`."""
        with signals_to(self._signalled):
            yield

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a signal abort the work inside; use it only for work that can be lost.

        Raises
        ------
        Interrupted
            When the signal arrives, or if it has arrived before.
        """
        if self._requested:
            raise self.interrupted()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._signal = self._signal or signal.Signals(number)
        self.request()
        if self._interruptible:
            self._interruptible = False  # once: a second signal must not abort the clean-up after the first
            raise self.interrupted()
