"""How well batches are mixed, beside the uniform shuffle that they are compared with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.stream.mixing import Mixing, MixingReport, expected_distinct

COUNTS = st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any)
ROWS, BATCH = 20_000, 200
SEQUENCE = np.repeat(np.arange(400), 50)
"""Sequence of each row: fifty rows side by side of each of four hundred."""


def by_rows(counts: list[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the sequences that have 0, 1, 2, ... rows."""
    return np.bincount(counts).astype(np.int64)


def seen(order: NDArray[np.int64]) -> MixingReport:
    mixing = Mixing(lambda: by_rows(np.bincount(SEQUENCE)), BATCH)
    for start in range(0, len(order), BATCH):
        row_B = order[start : start + BATCH]
        mixing.add(row_B, SEQUENCE[row_B])
    report = mixing.report()
    assert report is not None
    return report


@pytest.mark.parametrize("batch_rows", [1, 10, 64, 300])
def test_the_expectation_is_what_drawing_without_replacement_gives(batch_rows: int) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 12, 80)
    sequence_N = np.repeat(np.arange(80), counts)
    trials = [len(np.unique(rng.permutation(sequence_N)[:batch_rows])) for _ in range(4000)]
    tolerance = 5 * np.std(trials) / len(trials) ** 0.5 + 1e-9
    assert expected_distinct(by_rows(counts), batch_rows) == pytest.approx(np.mean(trials), abs=tolerance)


@given(COUNTS)
def test_a_batch_of_one_row_and_of_all_rows_leave_no_doubt(counts: list[int]) -> None:
    assert expected_distinct(by_rows(counts), 1) == pytest.approx(1)
    assert expected_distinct(by_rows(counts), sum(counts)) == pytest.approx(sum(count > 0 for count in counts))


@given(COUNTS, st.data())
def test_more_rows_see_more_sequences(counts: list[int], data: st.DataObject) -> None:
    batch = data.draw(st.integers(1, sum(counts)))
    found = expected_distinct(by_rows(counts), batch)
    assert 1 - 1e-9 <= found <= min(batch, sum(count > 0 for count in counts)) + 1e-9
    if batch > 1:
        assert expected_distinct(by_rows(counts), batch - 1) <= found + 1e-9


def test_millions_of_sequences_are_no_trouble() -> None:
    counts = np.zeros(1001, dtype=np.int64)
    counts[1000] = 3_000_000
    # 4,096 draws from 3 M sequences: all distinct but for birthday pairs.
    assert expected_distinct(counts, 4096) == pytest.approx(4096 - 4096**2 / 2 / 3e6, abs=0.01)


@pytest.mark.parametrize("batch_rows", [0, -1, 5])
def test_impossible_batches_are_refused(batch_rows: int) -> None:
    with pytest.raises(ValueError, match=rf"in 1 \.\. 4, not {batch_rows}"):
        expected_distinct(by_rows([1, 3, 0]), batch_rows)


def test_a_uniform_shuffle_meets_every_expectation() -> None:
    report = seen(np.random.default_rng(1).permutation(ROWS))
    assert report.batches == ROWS // BATCH
    assert report.distinct_sequences_uniform == expected_distinct(by_rows(np.bincount(SEQUENCE)), BATCH)
    assert report.distinct_ratio == report.distinct_sequences / report.distinct_sequences_uniform
    assert report.distinct_ratio == pytest.approx(1, abs=0.01)
    assert report.neighbours_uniform == pytest.approx((BATCH - 1) / ROWS)
    assert report.neighbours == pytest.approx(report.neighbours_uniform, rel=0.2)
    assert abs(report.serial_correlation) < 0.03


def test_expectations_are_means_over_many_shuffles() -> None:
    rng = np.random.default_rng(2)
    reports = [seen(rng.permutation(ROWS)) for _ in range(20)]
    assert np.mean([report.distinct_ratio for report in reports]) == pytest.approx(1, abs=0.002)
    ratio = np.mean([report.neighbours / report.neighbours_uniform for report in reports])
    assert ratio == pytest.approx(1, abs=0.05)


def test_rows_in_stored_order_are_seen_by_every_measure() -> None:
    report = seen(np.arange(ROWS))
    assert report.distinct_ratio < 0.03
    assert report.neighbours == (BATCH - 1) / BATCH
    assert report.serial_correlation > 0.9


def test_a_shuffle_of_short_stretches_is_seen() -> None:
    """Every row of a stretch in the same batch, in random order: only the order within looks uniform."""
    rng = np.random.default_rng(3)
    report = seen(np.concatenate([start + rng.permutation(BATCH) for start in range(0, ROWS, BATCH)]))
    assert report.distinct_ratio < 0.03
    assert report.neighbours > 0.9
    assert abs(report.serial_correlation) < 0.05


def test_blocks_in_random_order_are_seen() -> None:
    """As loaders do that shuffle chunks of ten rows and nothing within."""
    blocks = np.random.default_rng(4).permutation(ROWS // 10)
    report = seen((blocks[:, None] * 10 + np.arange(10)).ravel())
    assert report.distinct_ratio < 0.15
    assert report.neighbours > 0.8
    assert report.serial_correlation > 0.5


def test_batches_that_are_not_full_are_left_out() -> None:
    mixing = Mixing(lambda: by_rows([5, 5]), 4)
    mixing.add(np.arange(3), np.zeros(3, dtype=np.int64))
    assert mixing.report() is None
    mixing.add(np.array([7, 2, 3, 9]), np.array([1, 0, 0, 1]))
    report = mixing.report()
    assert report is not None
    assert (report.batches, report.distinct_sequences, report.neighbours) == (1, 2, 0.25)


def test_batches_of_one_row_cannot_be_mixed() -> None:
    mixing = Mixing(lambda: by_rows([3]), 1)
    mixing.add(np.array([2]), np.array([0]))
    assert mixing.report() is None
