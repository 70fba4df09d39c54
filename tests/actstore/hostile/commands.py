"""Run each command on a store that somebody prepared, and see that it ends as a command should."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.actstore.cli.command import Outcome, actstore

__all__ = ["COMMANDS", "MOST_S", "ends_well", "within"]

MOST_S = 10
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("inspect",),
    ("verify", "--no-recompute"),
    ("verify",),
    ("gc",),
    ("repair", "--dry-run"),
    ("extract", "--quiet", "--store"),
    ("repair",),
    ("gc", "--delete", "--older-than", "0s"),
)
"""Commands that take a store last; those that write come last, as they may mend it."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """End what takes longer; in the main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ends_well(command: tuple[str, ...], store: Path) -> Outcome:
    """Run a command in this process: no exception leaves it but those of the project, which become one message."""
    with within(MOST_S):
        done = actstore(*command, store)
    assert done.code in {0, 1, 2}, (command, done)
    assert (done.out + done.err).replace("\n", "").isprintable(), (command, done)
    if done.code and command[0] != "verify" and command[0] != "repair":
        assert "error: " in done.err, (command, done)
        assert len(done.err) < 4000, (command, done.err[:200])
    return done
