"""Rows of tasks in memory and in files."""

from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowLayout
from actstore.errors import StoreError
from actstore.workflows.live.kept_rows import KeptRows, buffer_bytes

LAYOUT = RowLayout(2, 4, np.dtype(np.int8), 3, 1)


def rows_of(seed: int) -> RowBuffer:
    buffer = RowBuffer.allocate(10, LAYOUT)
    rng = np.random.default_rng(seed)
    for values in buffer.values:
        values[:] = rng.integers(-127, 127, values.shape)
    assert buffer.scale_RTG is not None
    buffer.scale_RTG[:] = rng.random(buffer.scale_RTG.shape)
    for column_R in buffer.origin:
        column_R[:] = rng.integers(0, 99, 10)
    return buffer


SIZE = buffer_bytes(rows_of(0))


@pytest.mark.parametrize("in_files", [False, True])
def test_the_first_and_the_latest_are_kept(in_files: bool, tmp_path: Path) -> None:
    kept = KeptRows(2 * SIZE, tmp_path if in_files else None)
    for task in range(5):
        kept.add(task, rows_of(task))
    assert [task for task in range(5) if kept.get(task) is not None] == [0, 1, 4]
    for task in (0, 1, 4):
        found, wanted = kept.get(task), rows_of(task)
        assert found is not None
        for one_R, other_R in zip(found.origin, wanted.origin, strict=True):
            np.testing.assert_array_equal(one_R, other_R)
        np.testing.assert_array_equal(found.scale_RTG, wanted.scale_RTG)
        for one, other in zip(found.values, wanted.values, strict=True):
            np.testing.assert_array_equal(one, other)
    assert not list(tmp_path.iterdir()), "the files have no names"


def test_tasks_that_no_stream_wants_any_more_make_way() -> None:
    kept = KeptRows(2 * SIZE)
    for task in (0, 1):
        kept.add(task, rows_of(task))
    kept.want({5, 6})
    for task in (5, 6, 7):
        kept.add(task, rows_of(task))
    assert [task for task in range(8) if kept.get(task) is not None] == [5, 6, 7]


def test_nothing_is_kept_once_cleared() -> None:
    kept = KeptRows(2 * SIZE)
    kept.add(0, rows_of(0))
    kept.clear()
    assert kept.get(0) is None


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="gone: computed rows cannot be kept there"):
        KeptRows(2 * SIZE, tmp_path / "gone").add(0, rows_of(0))
