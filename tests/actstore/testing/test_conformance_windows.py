"""The suite finds the mistakes it is there for."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.testing import conformance_windows as suite
from actstore.testing.conformance_windows import WindowCase
from actstore.testing.fake_reader import FakeReader

TASKS = {0: 40, 3: 17}


class WrongRow(FakeReader):
    """Numbers rows without their task."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        into.row_N[:] = np.arange(window.start, window.stop)


class RelativeValues(FakeReader):
    """Takes every window for the first of its task."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        into.values_NSD[:] = into.values_NSD[:1]


class Wanders(FakeReader):
    """Gives other values every time."""

    reads = 0

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        self.reads += 1
        into.values_NSD[0, 0, 0] = self.reads % 100


class WritesBeyond(FakeReader):
    """Writes one row too many where the memory is there."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        base = into.row_N.base
        if isinstance(base, np.ndarray) and len(base) > len(into.row_N):
            base[-1] = 7


class SharesScratch(FakeReader):
    """Two threads use one piece of memory."""

    scratch: RowWindow | None = None
    together = threading.Barrier(2)

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        self.scratch = window
        if threading.current_thread() is not threading.main_thread():
            try:
                self.together.wait(timeout=0.2)
            except threading.BrokenBarrierError:
                self.together.reset()
        rows = into.row_N.shape[0]
        super().read(RowWindow(self.scratch.task, self.scratch.start, self.scratch.start + rows), into)


class MakesUpRows(FakeReader):
    """Has an answer to everything."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        FakeReader(dict.fromkeys(self.tasks, 1 << 20), task_rows=40, sites=self.sites, width=4).read(
            RowWindow(window.task, max(window.start, 0), max(window.start, 0) + len(into.row_N)), into
        )


def case_of(kind: type[FakeReader], *, scaled: bool = True) -> WindowCase:
    reader = kind(TASKS, task_rows=40, sites=["embed", "final_norm"], width=4, scaled=scaled)
    return WindowCase(reader, tasks=TASKS, task_rows=40, sites=2, width=4, dtype=reader.dtype, scaled=scaled)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("check", suite.WINDOW_CHECKS, ids=lambda check: check.__name__)
def test_the_fake_conforms(check: Callable[[WindowCase], None], scaled: bool) -> None:
    check(case_of(FakeReader, scaled=scaled))


@pytest.mark.parametrize(
    ("broken", "finds"),
    [
        (WrongRow, suite.check_row_numbers),
        (RelativeValues, suite.check_windows_are_parts_of_tasks),
        (Wanders, suite.check_determinism),
        (WritesBeyond, suite.check_only_the_buffer_is_written),
        (SharesScratch, suite.check_threads),
        (MakesUpRows, suite.check_rows_outside_are_refused),
        (MakesUpRows, suite.check_buffers_of_other_sizes_are_refused),
    ],
)
def test_a_mistake_is_found(broken: type[FakeReader], finds: Callable[[WindowCase], None]) -> None:
    with pytest.raises((AssertionError, IndexError)):
        finds(case_of(broken))


def test_every_check_is_in_the_table() -> None:
    checks = {name for name in suite.__all__ if name.startswith("check_")}
    assert {check.__name__ for check in suite.WINDOW_CHECKS} == checks
