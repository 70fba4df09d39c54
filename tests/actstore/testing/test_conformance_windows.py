"""The suite finds the mistakes it is there for."""

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowLayout, RowWindow
from actstore.testing import conformance_windows as suite
from actstore.testing.conformance_windows import WindowCase
from actstore.testing.fake_reader import FakeReader

TASKS = {0: 40, 3: 17}


class LayoutOfTheStore(FakeReader):
    """Says that it has all sites of the store, and fills those asked for."""

    @property
    def layout(self) -> RowLayout:
        return replace(super().layout, sites=1)


class NoSequence(FakeReader):
    """Has a row of no sequence, as the tail of a last shard would be."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        into.origin.sequence_R[-1] = -1


class RelativeValues(FakeReader):
    """Takes every window for the first of its task."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        for values in into.values:
            values[:] = values[:1]


class RelativeScales(FakeReader):
    """Numbers scales from the start of a window."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        if into.scale_RTG is not None:
            into.scale_RTG[:, 0, 0] = np.arange(len(into))


class Wanders(FakeReader):
    """Gives other values every time."""

    reads = 0

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        self.reads += 1
        into.values[0][0, 0] = self.reads % 100


class WritesBeyond(FakeReader):
    """Writes one row too many where the memory is there."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        base = into.origin.sequence_R.base
        if isinstance(base, np.ndarray) and len(base) > len(into):
            base[-1] = 7


class LeavesASiteOut(FakeReader):
    """Fills the first site only."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        untouched = into.values[1].copy()
        super().read(window, into)
        into.values[1][:] = untouched


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
        super().read(RowWindow(self.scratch.task, self.scratch.start, self.scratch.start + len(into)), into)


class MakesUpRows(FakeReader):
    """Has an answer to everything."""

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        FakeReader(dict.fromkeys(self.tasks, 1 << 20), task_rows=40, sites=self.sites, width=4).read(
            RowWindow(window.task, max(window.start, 0), max(window.start, 0) + len(into)), into
        )


def case_of(kind: type[FakeReader], *, scaled: bool = True) -> WindowCase:
    return WindowCase(kind(TASKS, task_rows=40, sites=["embed", "final_norm"], width=4, scaled=scaled), tasks=TASKS)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("check", suite.WINDOW_CHECKS, ids=lambda check: check.__name__)
def test_the_fake_conforms(check: Callable[[WindowCase], None], scaled: bool) -> None:
    check(case_of(FakeReader, scaled=scaled))


@pytest.mark.parametrize(
    ("broken", "finds"),
    [
        (LayoutOfTheStore, suite.check_layout),
        (NoSequence, suite.check_layout),
        (RelativeValues, suite.check_windows_are_parts_of_tasks),
        (RelativeScales, suite.check_windows_are_parts_of_tasks),
        (Wanders, suite.check_determinism),
        (LeavesASiteOut, suite.check_all_of_the_buffer_is_written),
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
