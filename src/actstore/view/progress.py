"""Progress bars on standard error, with rates and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from actstore.contracts.progress import Progress, Silent, Stage

__all__ = ["terminal_progress"]

_PLAIN_EVERY_S: Final = 10.0


def terminal_progress(*, quiet: bool = False) -> Progress:
    """Return a progress display: bars on a terminal, a line from time to time in a log file.

    Parameters
    ----------
    quiet
        Show nothing.
    """
    if quiet:
        return Silent()
    return _Bars() if sys.stderr.isatty() else _Lines()


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:,.0f} {unit}/s" if speed else f"- {unit}/s", style="progress.data.speed")


class _Bars:
    @contextmanager
    def stage(self, title: str, *, total: int | None, unit: str, done: int = 0) -> Iterator[Stage]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            yield _BarStage(bars, bars.add_task(title, total=total, completed=done, unit=unit, note=""))


class _BarStage:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: int, *, note: str = "") -> None:
        if note:
            self._bars.update(self._task, advance=amount, note=note)
        else:
            self._bars.update(self._task, advance=amount)


class _Lines:
    @contextmanager
    def stage(self, title: str, *, total: int | None, unit: str, done: int = 0) -> Iterator[Stage]:
        stage = _LineStage(title, total=total, unit=unit, done=done)
        yield stage
        stage.report()


class _LineStage:
    def __init__(self, title: str, *, total: int | None, unit: str, done: int) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._before = self._done = done
        self._note = ""
        self._started = self._reported = time.monotonic()

    def advance(self, amount: int, *, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        if time.monotonic() - self._reported >= _PLAIN_EVERY_S:
            self.report()

    def report(self) -> None:
        self._reported = time.monotonic()
        elapsed = max(self._reported - self._started, 1e-9)
        rate = (self._done - self._before) / elapsed
        of_total = "" if self._total is None else f" of {self._total:,}"
        left = ""
        if self._total is not None and rate and self._done < self._total:
            left = f", {(self._total - self._done) / rate:,.0f} s left"
        text = f"{self._title}: {self._done:,}{of_total} {self._unit}, {rate:,.0f} {self._unit}/s{left} {self._note}"
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False).print(text.rstrip())
