"""The uniform shuffle that batches are compared with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.stream.mixing import expected_distinct


@pytest.mark.parametrize("batch_rows", [1, 10, 64, 300])
def test_it_is_what_drawing_without_replacement_gives(batch_rows: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 12, 80).astype(np.int32)
    sequence_N = np.repeat(np.arange(80), counts)
    trials = [len(np.unique(rng.permutation(sequence_N)[:batch_rows])) for _ in range(4000)]
    tolerance = 5 * np.std(trials) / len(trials) ** 0.5 + 1e-9
    assert expected_distinct(counts, batch_rows) == pytest.approx(np.mean(trials), abs=tolerance)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any))
def test_a_batch_of_one_row_and_of_all_rows_leave_no_doubt(counts: list[int]) -> None:
    rows = np.array(counts, np.int32)
    assert expected_distinct(rows, 1) == pytest.approx(1)
    assert expected_distinct(rows, int(rows.sum())) == pytest.approx((rows > 0).sum())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any), st.data())
def test_more_rows_see_more_sequences(counts: list[int], data: st.DataObject) -> None:
    rows = np.array(counts, np.int32)
    batch = data.draw(st.integers(1, int(rows.sum())))
    found = expected_distinct(rows, batch)
    assert 1 - 1e-9 <= found <= min(batch, (rows > 0).sum()) + 1e-9
    if batch > 1:
        assert expected_distinct(rows, batch - 1) <= found + 1e-9


def test_millions_of_sequences_are_no_trouble() -> None:
    counts = np.full(3_000_000, 1000, np.int32)
    # 4,096 draws from 3 M sequences: all distinct but for birthday pairs.
    assert expected_distinct(counts, 4096) == pytest.approx(4096 - 4096**2 / 2 / 3e6, abs=0.01)


@pytest.mark.parametrize("batch_rows", [0, -1, 5])
def test_impossible_batches_are_refused(batch_rows: int) -> None:
    with pytest.raises(ValueError, match=rf"in 1 \.\. 4, not {batch_rows}"):
        expected_distinct(np.array([1, 3, 0], np.int32), batch_rows)
