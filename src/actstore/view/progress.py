"""Progress bars on standard error, with totals, rates and time left, in 80 columns."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from actstore.contracts.progress import Progress, Silent, Stage

__all__ = ["terminal_progress"]

_PLAIN_EVERY_S: Final = 10.0
_COLUMNS: Final = 80
_MOST_TITLE: Final = 26
_UNITS: Final = ((10**12, "T"), (10**9, "G"), (10**6, "M"))


def terminal_progress(*, quiet: bool = False) -> Progress:
    """Return a progress display: bars on a terminal, a line from time to time in a log file or on a dumb terminal.

    The environment variable NO_COLOR turns colours off.

    Parameters
    ----------
    quiet
        Show nothing.
    """
    if quiet:
        return Silent()
    return _Bars() if sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"} else _Lines()


class _AmountColumn(ProgressColumn):
    """What is done, and of how much."""

    def render(self, task: Task) -> Text:
        return Text(_amount(int(task.completed), task.total, task.fields["unit"], separator="/"))


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{_rate(speed)}/s" if speed else "-/s", style="progress.data.speed")


class _LeftColumn(ProgressColumn):
    """Time left; at the end, the time that it took."""

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {_duration(task.finished_time or 0.0)}", style="progress.elapsed")
        left_s = task.time_remaining
        return Text(f"{'-:--:--' if left_s is None else _duration(left_s)} left", style="progress.remaining")


class _BarsWithNote(Bars):
    """A bar, and below it a line with the state of the work."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bar and the line."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["note"]:
                yield Text(f"  {task.fields['note']}", no_wrap=True, overflow="ellipsis")


class _Bars:
    @contextmanager
    def stage(self, title: str, *, total: int | None, unit: str, done: int = 0) -> Iterator[Stage]:
        whole = Column(no_wrap=True)
        columns = (
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=_MOST_TITLE)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            _AmountColumn(table_column=whole),
            _RateColumn(table_column=whole),
            _LeftColumn(table_column=whole),
        )
        with _BarsWithNote(*columns, console=Console(stderr=True), expand=True) as bars:
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
        left = ""
        if self._total is not None and rate and self._done < self._total:
            left = f", {_duration((self._total - self._done) / rate)} left"
        amount = _amount(self._done, self._total, self._unit, separator=" of ")
        text = f"{self._title}: {amount}, {_rate(rate)} {self._unit}/s{left}"
        # One line if it fits, else a second one for the state of the work.
        space = " " if len(text) + 1 + len(self._note) <= _COLUMNS else "\n  "
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False).print(
            f"{text}{space}{self._note}".rstrip()
        )


def _amount(done: int, total: float | None, unit: str, *, separator: str) -> str:
    return f"{_count(done)}{'' if total is None else f'{separator}{_count(int(total))}'} {unit}"


def _count(number: int) -> str:
    """Return a number in at most seven letters."""
    for size, letter in _UNITS:
        if number >= size:
            return f"{number / size:.1f}{letter}" if number < 100 * size else f"{number / size:.0f}{letter}"
    return f"{number:,}"


def _rate(rate: float) -> str:
    """Return a rate: slow ones with a decimal."""
    return _count(round(rate)) if rate >= 10 or not rate else f"{rate:.1f}"


def _duration(seconds: float) -> str:
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02d}:{rest_s:02d}"
