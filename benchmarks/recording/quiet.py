"""A measurement counts if the machine had nothing else to do and the commit says what was measured.

Results are written only if three things hold:

- before the run, the machine was idle but for this process: at most 5 % of its capacity was in use;
- during the run, at most 5 % of its capacity went to others. That is the CPU time of all processes, less that of this
  process, its children and the servers that it names, plus what other guests of the host took (steal);
- the working tree is that of a commit, before and after.

A run in whose results nothing is or depends on a time needs only the third.

Interrupts count before the run, when nobody here causes any. During the run they are recorded but do not count: the
kernel does not say whom they serve, and a benchmark over the loopback network causes many of its own.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.recording.processes import Machine, family_cpu_s

__all__ = ["MOST_SHARE", "NotTrustworthyError", "Reading", "Shares", "Watch", "commit_of", "read", "refuse_dirty"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
MOST_SHARE: Final = 0.05
"""Of the capacity of all cores."""
_LOOK_S: Final = 1.5
"""At 100 ticks a second and two cores, 5 % are 15 ticks."""
_MATTERS: Final = ("src", "benchmarks")
"""Where a file that Git does not know may change what is measured."""
_STOP_OTHER_WORK: Final = "stop other work and run again, or use --no-write to look only"


class NotTrustworthyError(Exception):
    """A measurement that must not be recorded: what was found, what is allowed and the way out."""


class Reading(NamedTuple):
    """One look at the clocks."""

    machine: Machine
    own_s: float
    """CPU time of this process and its family."""


class Shares(NamedTuple):
    """What happened between two readings, as shares of the capacity of all cores."""

    foreign: float
    """CPU time of other processes, and steal."""
    stolen: float
    """Steal alone."""
    interrupts: float

    @classmethod
    def between(cls, before: Reading, after: Reading) -> Shares:
        """Return the shares; CPU time is counted in ticks, so a foreign share below zero is none."""
        busy_s, interrupts_s, stolen_s, capacity_s = (
            late - early for early, late in zip(before.machine, after.machine, strict=True)
        )
        if capacity_s <= 0:
            return cls(0.0, 0.0, 0.0)
        foreign_s = busy_s - (after.own_s - before.own_s) + stolen_s
        return cls(max(foreign_s, 0.0) / capacity_s, stolen_s / capacity_s, interrupts_s / capacity_s)


def read(also: Sequence[int] = ()) -> Reading:
    """Look at the clocks; the processes named count as our own."""
    return Reading(Machine.now(), family_cpu_s(also))


class Watch:
    """Who else uses the machine, before a run and during it.

    Parameters
    ----------
    reading
        Looks at the clocks: given the processes that count as our own besides the family.
    look_s
        For how long to look before the run.

    Examples
    --------
    >>> watch = Watch()
    >>> sorted(watch.record())
    ['cpu_foreign', 'cpu_interrupts', 'cpu_load_before', 'cpu_stolen']
    """

    def __init__(self, reading: Callable[[Sequence[int]], Reading] = read, *, look_s: float = _LOOK_S) -> None:
        self._reading = reading
        self._servers: tuple[int, ...] = ()
        self._ended_servers_s = 0.0
        before = reading(())
        time.sleep(look_s)
        self._began = reading(())
        shares = Shares.between(before, self._began)
        self.load_before = shares.foreign + shares.interrupts

    @contextmanager
    def servers(self, processes: Sequence[int]) -> Iterator[None]:
        """Count processes as our own that this run has started but that are no children of this process.

        Their time counts from their start, so they must have been started after the watch; leave before they end.
        """
        self._servers = tuple(processes)
        try:
            yield
        finally:
            self._ended_servers_s += self._reading(self._servers).own_s - self._reading(()).own_s
            self._servers = ()

    def shares(self) -> Shares:
        """Return who has used the machine since the run began."""
        now = self._reading(self._servers)
        return Shares.between(self._began, now._replace(own_s=now.own_s + self._ended_servers_s))

    def record(self) -> dict[str, float]:
        """Return what is kept with the results, as shares of all cores."""
        shares = self.shares()
        return {
            "cpu_load_before": round(self.load_before, 4),
            "cpu_foreign": round(shares.foreign, 4),
            "cpu_stolen": round(shares.stolen, 4),
            "cpu_interrupts": round(shares.interrupts, 4),
        }

    def refuse_load_before(self) -> None:
        """Raise `NotTrustworthyError` if the machine was not idle before the run."""
        if self.load_before > MOST_SHARE:
            raise NotTrustworthyError(
                f"before the run, {self.load_before:.1%} of this machine's CPU time went to other work; at most "
                f"{MOST_SHARE:.0%} is allowed: {_STOP_OTHER_WORK}"
            )

    def refuse_foreign(self) -> None:
        """Raise `NotTrustworthyError` if others have used the machine during the run."""
        shares = self.shares()
        if shares.foreign > MOST_SHARE:
            raise NotTrustworthyError(
                f"during the run, {shares.foreign:.1%} of this machine's CPU time went to other work "
                f"({shares.stolen:.1%} to other guests of the host); at most {MOST_SHARE:.0%} is allowed: "
                f"{_STOP_OTHER_WORK}"
            )


def refuse_dirty(repository: Path = REPOSITORY) -> None:
    """Raise `NotTrustworthyError` if the working tree is not that of a commit.

    Changes to tracked files count, wherever they are, and files below `src` and `benchmarks` that Git does not know.
    """
    said = _git(repository, "status", "--porcelain=v1", "--untracked-files=all", "-z")
    changed, untracked = [], []
    entries = iter(said.split("\0"))
    for entry in filter(None, entries):
        state, path = entry[:2], entry[3:]
        if state[0] in "RC":
            next(entries, None)  # where it was renamed or copied from
        if state != "??":
            changed.append(path)
        elif path.startswith(tuple(f"{folder}/" for folder in _MATTERS)):
            untracked.append(path)
    if found := [*changed, *untracked]:
        raise NotTrustworthyError(
            f"{len(changed)} tracked files differ from the commit and {len(untracked)} files below "
            f"{' and '.join(_MATTERS)} are unknown to Git, where 0 are allowed: {', '.join(found[:5])}"
            f"{', ...' if len(found) > 5 else ''}; commit first, or use --no-write to look only"
        )


def commit_of(repository: Path = REPOSITORY) -> str:
    """Return the commit that is checked out, marked if tracked files differ from it; `unknown` outside of Git."""
    try:
        return _git(repository, "describe", "--always", "--dirty").strip()
    except NotTrustworthyError:
        return "unknown"


def _git(repository: Path, *arguments: str) -> str:
    done: Any = subprocess.run(["git", *arguments], check=False, capture_output=True, text=True, cwd=repository)
    if done.returncode:
        raise NotTrustworthyError(
            f"{repository}: no commit can be named, for 'git {arguments[0]}' fails with {done.stderr.strip()!r}; run "
            "from a clone of the repository, or use --no-write to look only"
        )
    said: str = done.stdout
    return said
