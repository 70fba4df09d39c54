"""Which windows are read when: every row once, from many shards at a time."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.stream.order import EpochOrder, WindowSet, cut_task_windows

tasks_strategy = st.lists(st.integers(1, 40), min_size=1, max_size=12).map(lambda rows: list(enumerate(rows, start=3)))


def rows_read(order: EpochOrder) -> list[tuple[int, int]]:
    """(task, row) in the order in which fills hold them, before the shuffle inside a fill."""
    return [
        (window.task, row)
        for index in range(order.fills)
        for window in order.fill(index).windows
        for row in range(window.start, window.stop)
    ]


def order_of(windows: WindowSet, *, fill_rows: int, seed: int = 0, epoch: int = 0) -> EpochOrder:
    return EpochOrder(windows, fill_rows=fill_rows, seed=seed, epoch=epoch)


@given(tasks_strategy, st.integers(1, 50))
def test_windows_cover_every_row_of_every_task_once(tasks: list[tuple[int, int]], window_rows: int) -> None:
    windows = cut_task_windows(tasks, window_rows=window_rows)
    covered = Counter(
        (task, row)
        for task, start, stop in zip(
            windows.task_W.tolist(), windows.start_W.tolist(), windows.stop_W.tolist(), strict=True
        )
        for row in range(start, stop)
    )
    assert covered == Counter((task, row) for task, rows in tasks for row in range(rows))
    assert windows.rows == sum(rows for _, rows in tasks)
    assert (windows.start_W % window_rows == 0).all()
    assert (windows.stop_W - windows.start_W <= window_rows).all()


def test_no_tasks_have_no_windows() -> None:
    windows = cut_task_windows([], window_rows=4)
    assert len(windows) == windows.rows == 0


@given(tasks_strategy, st.integers(1, 50), st.integers(1, 300), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_reads_every_row_exactly_once(
    tasks: list[tuple[int, int]], window_rows: int, fill_rows: int, seed: int, epoch: int
) -> None:
    windows = cut_task_windows(tasks, window_rows=window_rows)
    read = rows_read(order_of(windows, fill_rows=fill_rows, seed=seed, epoch=epoch))
    assert len(read) == windows.rows
    assert set(read) == {(task, row) for task, rows in tasks for row in range(rows)}


@given(tasks_strategy, st.integers(1, 50), st.integers(1, 300))
def test_fills_are_full_but_for_the_last(tasks: list[tuple[int, int]], window_rows: int, fill_rows: int) -> None:
    windows = cut_task_windows(tasks, window_rows=window_rows)
    order = order_of(windows, fill_rows=fill_rows)
    fills = [order.fill(index) for index in range(order.fills)]
    assert [fill.index for fill in fills] == list(range(len(fills)))
    assert [fill.rows for fill in fills[:-1]] == [fill_rows] * (len(fills) - 1)
    assert 1 <= fills[-1].rows <= fill_rows
    for fill in fills:
        assert sorted(fill.order_R.tolist()) == list(range(fill.rows))
        assert sum(window.stop - window.start for window in fill.windows) == fill.rows
        assert all(window.start < window.stop for window in fill.windows)


@given(tasks_strategy, st.integers(1, 20), st.integers(1, 100))
def test_a_fill_does_not_need_those_before_it(tasks: list[tuple[int, int]], window_rows: int, fill_rows: int) -> None:
    windows = cut_task_windows(tasks, window_rows=window_rows)
    forwards, backwards = (order_of(windows, fill_rows=fill_rows) for _ in range(2))
    after = {index: backwards.fill(index) for index in reversed(range(backwards.fills))}
    for index in range(forwards.fills):
        assert forwards.fill(index).windows == after[index].windows
        assert forwards.fill(index).order_R.tolist() == after[index].order_R.tolist()


def test_every_seed_and_epoch_has_its_own_order() -> None:
    windows = cut_task_windows([(task, 64) for task in range(10)], window_rows=8)
    orders = {
        tuple(rows_read(order_of(windows, fill_rows=64, seed=seed, epoch=epoch)))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25
    shuffles = {
        tuple(order_of(windows, fill_rows=64, seed=s, epoch=e).fill(0).order_R) for s in range(5) for e in range(5)
    }
    assert len(shuffles) == 25


def test_fills_of_an_epoch_are_shuffled_differently() -> None:
    windows = cut_task_windows([(task, 64) for task in range(10)], window_rows=8)
    order = order_of(windows, fill_rows=64)
    assert len({tuple(order.fill(index).order_R) for index in range(order.fills)}) == order.fills


@pytest.mark.parametrize("share", [1, 2, 4])
def test_a_fill_takes_as_many_windows_of_each_task_as_of_any_other(share: int) -> None:
    """Windows of a task are spread evenly over the epoch: so many in every fill, not now and then."""
    tasks, windows_per_task = 30, 24
    windows = cut_task_windows([(task, windows_per_task * 8) for task in range(tasks)], window_rows=8)
    order = order_of(windows, fill_rows=tasks * 8 * share)
    for index in range(order.fills):
        windows_of = Counter(window.task for window in order.fill(index).windows)
        assert windows_of == Counter(dict.fromkeys(range(tasks), share))


@pytest.mark.parametrize("windows_per_fill", [7, 20, 39])
def test_a_fill_of_fewer_windows_than_tasks_repeats_none(windows_per_fill: int) -> None:
    windows = cut_task_windows([(task, 16 * 8) for task in range(40)], window_rows=8)
    order = order_of(windows, fill_rows=windows_per_fill * 8)
    for index in range(order.fills):
        fill = order.fill(index)
        assert len({window.task for window in fill.windows}) == len(fill.windows)


def test_windows_of_long_and_short_tasks_are_spread_alike() -> None:
    windows = cut_task_windows([(0, 800), (1, 80), (2, 800)], window_rows=8)
    order = order_of(windows, fill_rows=168)
    shares = [sum(window.task == 1 for window in order.fill(index).windows) for index in range(order.fills)]
    assert shares == [1] * 10
