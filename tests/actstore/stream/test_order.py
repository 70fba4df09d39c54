"""Which rows come when: each once, from as many shards at a time as there are, any stretch without those before."""

from collections import Counter
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.stream.order import EpochOrder, Fill, TaskRuns, UniformOrder, WindowOrder

TASK_ROWS = 40
RUNS = st.dictionaries(st.integers(0, 30), st.integers(1, TASK_ROWS), min_size=1, max_size=12).map(
    lambda rows: TaskRuns.of(sorted(rows.items()), task_rows=TASK_ROWS)
)
"""Tasks with holes between them and any of them short, as in a store in the making."""


def all_rows(runs: TaskRuns) -> list[int]:
    return [
        task * runs.task_rows + row
        for task, rows in zip(runs.task_T.tolist(), runs.rows_T.tolist(), strict=True)
        for row in range(rows)
    ]


def windows_of(runs: TaskRuns, *, window_rows: int, seed: int = 0, epoch: int = 0) -> WindowOrder:
    return WindowOrder(runs, window_rows=window_rows, seed=seed, epoch=epoch)


def cut(order: EpochOrder, runs: TaskRuns, fill_rows: int) -> list[Fill]:
    return [order.fill(start, min(start + fill_rows, runs.rows)) for start in range(0, runs.rows, fill_rows)]


def same(one: Fill, other: Fill) -> bool:
    return (one.windows, one.row_R.tolist(), one.place_R.tolist()) == (
        other.windows,
        other.row_R.tolist(),
        other.place_R.tolist(),
    )


@given(RUNS, st.integers(1, 50), st.integers(1, 300), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_has_every_row_exactly_once(
    runs: TaskRuns, window_rows: int, fill_rows: int, seed: int, epoch: int
) -> None:
    for order in (
        windows_of(runs, window_rows=window_rows, seed=seed, epoch=epoch),
        UniformOrder(runs, seed=seed, epoch=epoch),
    ):
        rows = np.concatenate([fill.row_R for fill in cut(order, runs, fill_rows)])
        assert sorted(rows.tolist()) == all_rows(runs)


@given(RUNS, st.integers(1, 50), st.integers(1, 300))
def test_windows_hold_the_rows_of_their_fill(runs: TaskRuns, window_rows: int, fill_rows: int) -> None:
    rows_of = dict(zip(runs.task_T.tolist(), runs.rows_T.tolist(), strict=True))
    for fill in cut(windows_of(runs, window_rows=window_rows), runs, fill_rows):
        for window in fill.windows:
            assert 0 <= window.start < window.stop <= rows_of[window.task]
            assert window.start // window_rows == (window.stop - 1) // window_rows, "crosses a border of windows"
        laid = [task * TASK_ROWS + row for task, start, stop in fill.windows for row in range(start, stop)]
        assert sorted(fill.place_R.tolist()) == list(range(len(laid)))
        assert [laid[place] for place in fill.place_R.tolist()] == fill.row_R.tolist()


@given(RUNS, st.integers(1, 20), st.data())
def test_a_stretch_does_not_need_those_before_it(runs: TaskRuns, window_rows: int, data: st.DataObject) -> None:
    """Wherever it begins and ends, and whatever was asked for before."""
    start = data.draw(st.integers(0, runs.rows - 1))
    stop = data.draw(st.integers(start + 1, runs.rows))
    for make in (partial(windows_of, window_rows=window_rows), partial(UniformOrder, seed=0, epoch=0)):
        used = make(runs)
        assert len(cut(used, runs, 7)) == -(-runs.rows // 7)
        alone = make(runs).fill(start, stop)
        assert same(alone, used.fill(start, stop))
        assert len(alone.row_R) == stop - start


@given(RUNS, st.integers(1, 20), st.data())
def test_which_rows_a_stretch_has_does_not_depend_on_how_the_rest_is_cut(
    runs: TaskRuns, window_rows: int, data: st.DataObject
) -> None:
    """So seats of one round, and another number of seats after it, share the rows without loss."""
    order = windows_of(runs, window_rows=window_rows)
    borders = sorted(data.draw(st.sets(st.integers(0, runs.rows), max_size=5)) | {0, runs.rows})
    rows = np.concatenate([order.fill(start, stop).row_R for start, stop in pairwise(borders)])
    assert sorted(rows.tolist()) == all_rows(runs)


def test_every_seed_and_epoch_has_its_own_order() -> None:
    runs = TaskRuns.of([(task, 64) for task in range(10)], task_rows=64)
    for make in (partial(WindowOrder, window_rows=8), UniformOrder):
        pairs = [(seed, epoch) for seed in range(5) for epoch in range(5)]
        orders = [make(runs, seed=seed, epoch=epoch) for seed, epoch in pairs]
        assert len({order.fill(0, 640).row_R.tobytes() for order in orders}) == 25
        # Not only the order within: another fill has other rows.
        assert len({np.sort(order.fill(0, 64).row_R).tobytes() for order in orders}) == 25


def test_fills_are_mixed_differently() -> None:
    runs = TaskRuns.of([(task, 64) for task in range(10)], task_rows=64)
    order = windows_of(runs, window_rows=8)
    assert len({fill.place_R.tobytes() for fill in cut(order, runs, 64)}) == 10


@pytest.mark.parametrize("share", [1, 2, 4])
def test_a_fill_takes_as_many_windows_of_each_task_as_of_any_other(share: int) -> None:
    """Windows of a task are spread evenly over the epoch: so many in every fill, not now and then."""
    tasks, windows_per_task = 30, 24
    runs = TaskRuns.of([(task, windows_per_task * 8) for task in range(tasks)], task_rows=windows_per_task * 8)
    for fill in cut(windows_of(runs, window_rows=8), runs, tasks * 8 * share):
        assert Counter(window.task for window in fill.windows) == Counter(dict.fromkeys(range(tasks), share))


@pytest.mark.parametrize("windows_per_fill", [7, 20, 39])
def test_a_fill_of_fewer_windows_than_tasks_repeats_none(windows_per_fill: int) -> None:
    runs = TaskRuns.of([(task, 16 * 8) for task in range(40)], task_rows=16 * 8)
    for fill in cut(windows_of(runs, window_rows=8), runs, windows_per_fill * 8):
        assert len({window.task for window in fill.windows}) == len(fill.windows)


def test_windows_of_long_and_short_tasks_are_spread_alike() -> None:
    runs = TaskRuns.of([(0, 800), (1, 80), (2, 800)], task_rows=800)
    fills = cut(windows_of(runs, window_rows=8), runs, 168)
    assert [sum(window.task == 1 for window in fill.windows) for fill in fills] == [1] * 10


def test_a_window_across_two_fills_is_shared_between_them() -> None:
    runs = TaskRuns.of([(0, 64), (1, 64)], task_rows=64)
    order = windows_of(runs, window_rows=16)
    first, second = order.fill(0, 24), order.fill(24, 48)
    (before,), (after,) = ([w for w in fill.windows if w.stop - w.start == 8] for fill in (first, second))
    assert (before.task, before.stop) == (after.task, after.start)


def test_rows_of_a_fill_come_in_an_order_without_pattern() -> None:
    """Windows are mixed, not lined up: neither places nor rows run on from one delivered row to the next."""
    runs = TaskRuns.of([(task, 256) for task in range(64)], task_rows=256)
    for fill in cut(windows_of(runs, window_rows=64), runs, 4096):
        for column in (fill.row_R, fill.place_R):
            assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 5 / 4096**0.5
            assert (np.diff(column) == 1).sum() < 10


def test_uniform_rows_come_from_everywhere() -> None:
    """No windows, no places: rows are taken where they lie, short and missing tasks counted rightly."""
    runs = TaskRuns.of([(3, 40), (4, 40), (7, 11), (9, 40)], task_rows=40)
    fill = UniformOrder(runs, seed=0, epoch=0).fill(0, runs.rows)
    assert fill.windows == ()
    assert len(fill.place_R) == 0
    assert sorted(fill.row_R.tolist()) == [*range(120, 200), *range(280, 291), *range(360, 400)]


def test_runs_count_their_rows() -> None:
    runs = TaskRuns.of([(3, 40), (7, 11)], task_rows=40)
    assert (runs.rows, runs.task_T.tolist(), runs.rows_T.tolist()) == (51, [3, 7], [40, 11])
