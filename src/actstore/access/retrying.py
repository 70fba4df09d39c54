"""Retry when the storage has a transient failure, and log it; give up after some attempts, with the reason."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from actstore.access.filesystems import is_transient
from actstore.errors import StorageUnavailableError

__all__ = ["ATTEMPTS", "Retries"]

ATTEMPTS: Final = 10
"""With the waits below they span 36 to 72 s if connections are refused at once: a gateway that is killed and started
again needs 6 to 15 s, and a load balancer removes a dead server within 30 s."""
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 20.0
_WARN_FROM: Final = 3
"""Single resets are common on object storage, so only later attempts are logged as warnings."""
_LOOK_UP_S: Final = 0.25

_log = logging.getLogger("actstore.storage")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Retries:
    """Number of attempts and the waits between them.

    The wait doubles from attempt to attempt up to a limit. Each wait is shortened at random by up to a half, so that
    clients that failed together do not retry together.
    """

    attempts: int = ATTEMPTS
    first_wait_s: float = _FIRST_WAIT_S
    longest_wait_s: float = _LONGEST_WAIT_S
    kept: str = "committed tasks are not lost"
    """What a failure does not lose, for messages; may be empty."""
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)

    def wait_s(self, attempt: int) -> float:
        """Return how long to wait after a failed attempt, counted from 1."""
        longest = min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret, and no result depends on it

    def run(self, act: Callable[[], _Result], *, name: str, describe: Callable[[Exception], str]) -> _Result:
        """Call a function until it succeeds.

        Parameters
        ----------
        act
            The function; it must be harmless to call it twice.
        name
            The object, for messages.
        describe
            Returns the description of an error.

        Raises
        ------
        StorageUnavailableError
            If the last attempt also had a transient failure; names object, attempts and cause.
        Exception
            Any exception of `act` that is not transient.
        """
        began = time.monotonic()
        attempt = 1
        while True:
            try:
                return act()
            except Exception as error:
                if not is_transient(error):
                    raise
                cause = describe(error)
            if attempt >= self.attempts or _leaving():
                waited_s = time.monotonic() - began
                tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
                kept = f"; {self.kept}" if self.kept else ""
                # Without the exception itself: a traceback would show its text, which may hold credentials.
                raise StorageUnavailableError(
                    f"{name}: {cause}; given up after {tries} in {waited_s:.0f} s; run the same again when the storage "
                    f"answers{kept}"
                ) from None
            wait_s = self.wait_s(attempt)
            level = logging.WARNING if attempt >= _WARN_FROM else logging.INFO
            _log.log(level, "%s: %s; attempt %d of %d in %.1f s", name, cause, attempt + 1, self.attempts, wait_s)
            self._wait(wait_s)
            attempt += 1

    def _wait(self, wait_s: float) -> None:
        """Wait, but not while the program ends, because it waits for its threads."""
        while wait_s > 0 and not _leaving():
            step_s = min(wait_s, _LOOK_UP_S)
            self.sleep(step_s)
            wait_s -= step_s


def _leaving() -> bool:
    return not threading.main_thread().is_alive()
