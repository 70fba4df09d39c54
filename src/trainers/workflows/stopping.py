"""Ctrl-C and SIGTERM during training: the step in hand is finished and kept, then the run ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Final

from actstore import signals_to

__all__ = ["StopSignals", "Stopped"]

_NAMES: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_SAME_S: Final = 1.0
"""Signals this soon after the first are the same request, sent to a group of processes and passed on by a parent."""


class Stopped(KeyboardInterrupt):
    """A run that was told to stop. The message says what is kept, and how to go on.

    Not an `Exception`, so that a script that tries several runs ends too.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message or f"stopped by {_NAMES.get(signal.Signals(number), number)}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, as shells count."""
        return 128 + self.number

    @property
    def cause(self) -> str:
        """The name of the signal."""
        return _NAMES.get(signal.Signals(self.number), str(self.number))


class StopSignals:
    """Receives Ctrl-C and SIGTERM.

    They raise `Stopped`, as Ctrl-C raises `KeyboardInterrupt`. Inside of `deferred` they are only recorded, and a call
    that waits is ended in another thread; a second signal, a second later or more, raises `Stopped` there too. In
    threads other than the main one signals stay as they are.
    """

    def __init__(self) -> None:
        # Plain attributes: a signal may come while the main thread holds the lock of an event.
        self._number: int | None = None
        self._received_s = 0.0
        self._calls: SimpleQueue[Callable[[], None]] | None = None
        self._on_request: Callable[[], None] = _do_nothing

    @property
    def number(self) -> int | None:
        """The signal that told the run to stop; None if none did."""
        return self._number

    @property
    def requested(self) -> bool:
        """Whether the run was told to stop."""
        return self._number is not None

    def request(self, number: int) -> None:
        """Take notice of a signal that another process of the run received."""
        if self._number is None:
            self._number, self._received_s = number, time.monotonic()

    def stopped(self, message: str = "") -> Stopped:
        """Return the exception that ends a run which was told to stop."""
        return Stopped(signal.SIGINT if self._number is None else self._number, message)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Receive signals until the end of the block; see `actstore.signals_to`."""
        with signals_to(self._received):
            yield

    @contextmanager
    def deferred(self, on_request: Callable[[], None]) -> Iterator[None]:
        """Only record the first signal, and call `on_request` from another thread."""
        calls: SimpleQueue[Callable[[], None]] = SimpleQueue()  # its `put` may be called from a handler of signals

        def wait() -> None:
            calls.get()()

        thread = threading.Thread(target=wait, name="trainer-stop", daemon=True)
        thread.start()
        self._on_request, self._calls = on_request, calls
        try:
            yield
        finally:
            self._calls = None
            calls.put(_do_nothing)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._number is not None and now_s - self._received_s < _SAME_S:
            return
        first = self._number is None
        self._number, self._received_s = number, now_s
        if first and self._calls is not None:
            self._calls.put(self._on_request)
            return
        raise Stopped(number)


def _do_nothing() -> None:
    """End a thread that waits for something to do."""
