"""Checks that every `WindowReader` must pass; a test runs them on an implementation.

Use them with pytest::

    @pytest.mark.parametrize("check", WINDOW_CHECKS, ids=lambda check: check.__name__)
    def test_my_reader_conforms(check):
        check(WindowCase(MyReader(), tasks={0: 96, 1: 17}))
"""

# ruff: noqa: S101 - these functions are assertions, for test runners
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from actstore.contracts.windows import RowBuffer, RowWindow, WindowReader

__all__ = [
    "WINDOW_CHECKS",
    "WindowCase",
    "check_all_of_the_buffer_is_written",
    "check_buffers_of_other_sizes_are_refused",
    "check_determinism",
    "check_layout",
    "check_only_the_buffer_is_written",
    "check_rows_outside_are_refused",
    "check_threads",
    "check_windows_are_parts_of_tasks",
]

_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class WindowCase:
    """A reader, and some of its tasks."""

    reader: WindowReader
    tasks: Mapping[int, int]
    """Rows of each task."""

    def read(self, window: RowWindow) -> RowBuffer:
        """Return a window in a buffer of its own."""
        buffer = self.allocate(window.stop - window.start)
        self.reader.read(window, buffer)
        return buffer

    def allocate(self, rows: int, *, pattern: int = 0x5A) -> RowBuffer:
        """Return a buffer filled with a pattern that no row has everywhere."""
        buffer = RowBuffer.allocate(rows, self.reader.layout)
        for array in _arrays(buffer):
            array.view(np.uint8)[:] = pattern
        return buffer

    def windows(self) -> Iterator[RowWindow]:
        """Yield whole tasks, their first and last rows, and windows at odd places."""
        for task, rows in self.tasks.items():
            spans = {(0, rows), (0, 1), (rows - 1, rows), (rows // 3, rows // 3 + 1), (rows // 3, rows), (0, rows // 2)}
            yield from (RowWindow(task, start, stop) for start, stop in sorted(spans) if start < stop)


def check_layout(case: WindowCase) -> None:
    """Check that buffers match the reader's layout, and that every row is of a residue."""
    layout = case.reader.layout
    for window in case.windows():
        buffer = case.read(window)
        rows = window.stop - window.start
        assert [values.shape for values in buffer.values] == [(rows, layout.stored_width)] * layout.sites
        assert {values.dtype for values in buffer.values} == {layout.dtype}
        assert all((column_R >= 0).all() for column_R in buffer.origin)
        assert sum(array.nbytes for array in _arrays(buffer)) == rows * layout.row_bytes


def check_windows_are_parts_of_tasks(case: WindowCase) -> None:
    """Check that a window holds the same rows as the whole task there, for any start and stop."""
    whole = {task: case.read(RowWindow(task, 0, rows)) for task, rows in case.tasks.items()}
    for window in case.windows():
        _assert_equal(case.read(window), whole[window.task].part(window.start, window.stop))


def check_determinism(case: WindowCase) -> None:
    """Check that the same window gives the same bytes, for any order of reading."""
    windows = list(case.windows())
    before = [case.read(window) for window in windows]
    after = [case.read(window) for window in reversed(windows)][::-1]
    for one, other in zip(before, after, strict=True):
        _assert_equal(one, other)


def check_all_of_the_buffer_is_written(case: WindowCase) -> None:
    """Check that reading overwrites the whole buffer."""
    for window in case.windows():
        buffer = case.allocate(window.stop - window.start, pattern=0xA5)
        case.reader.read(window, buffer)
        _assert_equal(buffer, case.read(window))


def check_only_the_buffer_is_written(case: WindowCase) -> None:
    """Check that reading into a part of a larger buffer leaves the rest of it alone."""
    for window in case.windows():
        rows = window.stop - window.start
        larger = case.allocate(rows + 5)
        case.reader.read(window, larger.part(2, 2 + rows))
        _assert_equal(larger.part(2, 2 + rows), case.read(window))
        _assert_equal(larger.part(0, 2), case.allocate(2))
        _assert_equal(larger.part(2 + rows, 5 + rows), case.allocate(3))


def check_threads(case: WindowCase) -> None:
    """Check that several threads can read at once."""
    windows = list(case.windows()) * _THREADS
    alone = [case.read(window) for window in windows]
    with ThreadPoolExecutor(_THREADS) as pool:
        for one, other in zip(alone, pool.map(case.read, windows), strict=True):
            _assert_equal(one, other)


def check_rows_outside_are_refused(case: WindowCase) -> None:
    """Check that rows that a task does not have raise `IndexError`."""
    for task, rows in case.tasks.items():
        for start, stop in ((0, rows + 1), (rows, rows + 1), (-1, 1)):
            try:
                case.read(RowWindow(task, start, stop))
            except IndexError:
                continue
            raise AssertionError(f"task {task} has {rows} rows; {start} to {stop} were read")


def check_buffers_of_other_sizes_are_refused(case: WindowCase) -> None:
    """Check that a buffer of more or fewer rows than the window raises `ValueError`; one row is never repeated."""
    task, rows = next(iter(case.tasks.items()))
    for stop, buffer_rows in ((1, 2), (2, 1), (rows, rows - 1)):
        try:
            case.reader.read(RowWindow(task, 0, stop), case.allocate(buffer_rows))
        except ValueError:
            continue
        raise AssertionError(f"{stop} rows were read into a buffer of {buffer_rows}")


WINDOW_CHECKS: Final[tuple[Callable[[WindowCase], None], ...]] = (
    check_layout,
    check_windows_are_parts_of_tasks,
    check_determinism,
    check_all_of_the_buffer_is_written,
    check_only_the_buffer_is_written,
    check_threads,
    check_rows_outside_are_refused,
    check_buffers_of_other_sizes_are_refused,
)
"""Every check, to be parametrised over."""


def _arrays(buffer: RowBuffer) -> list[np.ndarray[Any, Any]]:
    scales = [] if buffer.scale_RTG is None else [buffer.scale_RTG]
    return [*buffer.values, *scales, *buffer.origin]


def _assert_equal(one: RowBuffer, other: RowBuffer) -> None:
    for got, want in zip(_arrays(one), _arrays(other), strict=True):
        assert got.tobytes() == want.tobytes()
