from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.corpus.batches import (
    BATCH_TOKENS,
    ROW_STEP,
    Indices,
    pack_rows,
    padding_share,
    plan_batches,
    plan_packed_batches,
)

lengths = st.lists(st.integers(0, 3000), max_size=200)
budgets = st.integers(1, 10_000)


@given(lengths, budgets)
def test_every_item_is_in_exactly_one_batch(token_lengths: list[int], budget: int) -> None:
    batches = plan_batches(token_lengths, tokens_per_batch=budget)
    planned = sorted(int(index) for batch in batches for index in batch)
    assert planned == list(range(len(token_lengths)))


@given(lengths, budgets)
def test_the_padded_area_stays_within_the_budget_unless_an_item_is_alone(token_lengths: list[int], budget: int) -> None:
    for batch in plan_batches(token_lengths, tokens_per_batch=budget):
        assert batch.dtype == np.int64
        area = len(batch) * max(token_lengths[index] for index in batch)
        assert area <= budget or len(batch) == 1


@given(lengths, budgets)
def test_batches_run_from_the_longest_items_to_the_shortest(token_lengths: list[int], budget: int) -> None:
    batches = plan_batches(token_lengths, tokens_per_batch=budget)
    planned = [token_lengths[index] for batch in batches for index in batch]
    assert planned == sorted(token_lengths, reverse=True)


@given(lengths, budgets)
def test_the_plan_depends_on_lengths_and_budget_alone(token_lengths: list[int], budget: int) -> None:
    first = plan_batches(np.array(token_lengths, dtype=np.int32), tokens_per_batch=budget)
    second = plan_batches(token_lengths, tokens_per_batch=budget)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


def test_mixed_lengths_in_file_order_are_padded_far_more_than_planned_ones() -> None:
    token_lengths = np.random.default_rng(7).integers(20, 1000, size=500)
    planned = plan_batches(token_lengths, tokens_per_batch=8192)
    in_file_order = np.array_split(np.arange(500), len(planned))
    assert padding_share(token_lengths, planned) < 0.1 < padding_share(token_lengths, in_file_order)


def cost(token_lengths: list[int], batches: Sequence[Indices]) -> int:
    longest = [max(token_lengths[index] for index in batch) for batch in batches]
    return sum(len(batch) * max(most, 1) + BATCH_TOKENS for batch, most in zip(batches, longest, strict=True))


def fits(token_lengths: list[int], batches: Sequence[Indices], budget: int) -> bool:
    return all(len(batch) == 1 or len(batch) * token_lengths[batch[0]] <= budget for batch in batches)


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=8), st.integers(1, 5000))
def test_no_other_cut_of_the_sorted_items_costs_less(token_lengths: list[int], budget: int) -> None:
    longest_first = np.argsort(-np.array(token_lengths), kind="stable")
    every_cut = [
        np.split(longest_first, where)
        for cuts in range(len(token_lengths))
        for where in combinations(range(1, len(token_lengths)), cuts)
    ]
    allowed = [batches for batches in every_cut if fits(token_lengths, batches, budget)]
    planned = plan_batches(token_lengths, tokens_per_batch=budget)
    assert cost(token_lengths, planned) == min(cost(token_lengths, batches) for batches in allowed)


def test_a_few_short_items_fill_up_a_batch_and_many_get_their_own() -> None:
    assert [len(batch) for batch in plan_batches([100] * 20 + [50] * 4, tokens_per_batch=8192)] == [24]
    assert [len(batch) for batch in plan_batches([100] * 20 + [50] * 8, tokens_per_batch=8192)] == [20, 8]


def test_an_item_beyond_the_budget_gets_a_batch_of_its_own() -> None:
    batches = plan_batches([30, 5000, 30], tokens_per_batch=100)
    assert [batch.tolist() for batch in batches] == [[1], [0, 2]]


def test_padding_share_is_what_the_shorter_items_leave_empty() -> None:
    assert padding_share([4, 4], [np.array([0, 1])]) == 0.0
    assert padding_share([4, 1], [np.array([0, 1])]) == pytest.approx(3 / 8)
    assert padding_share([], []) == 0.0


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="tokens_per_batch must be at least 1"):
        plan_batches([1], tokens_per_batch=0)
    with pytest.raises(ValueError, match="item 1 has -2"):
        plan_batches([1, -2], tokens_per_batch=10)


class TestPackedBatches:
    @given(lengths, st.integers(64, 10_000))
    def test_every_item_is_in_exactly_one_batch(self, token_lengths: list[int], budget: int) -> None:
        batches = plan_packed_batches(token_lengths, row_tokens=1024, tokens_per_batch=budget)
        planned = sorted(int(index) for batch in batches for index in batch)
        assert planned == list(range(len(token_lengths)))

    @given(lengths, st.integers(64, 10_000))
    def test_the_rows_of_a_batch_stay_within_the_budget_unless_an_item_is_alone(
        self, token_lengths: list[int], budget: int
    ) -> None:
        width = min(1024, budget // ROW_STEP * ROW_STEP)
        for batch in plan_packed_batches(token_lengths, row_tokens=1024, tokens_per_batch=budget):
            here = [token_lengths[index] for index in batch]
            if max(here) > width:
                assert len(batch) == 1
                continue
            row_N, _ = pack_rows(here, row_tokens=width)
            assert (row_N.max() + 1) * width <= budget

    @given(st.lists(st.integers(1, 1024), min_size=1, max_size=200))
    def test_items_of_a_row_do_not_overlap(self, token_lengths: list[int]) -> None:
        row_N, start_N = pack_rows(token_lengths, row_tokens=1024)
        taken = np.zeros((row_N.max() + 1, 1024), dtype=int)
        for length, row, start in zip(token_lengths, row_N, start_N, strict=True):
            taken[row, start : start + length] += 1
        assert taken.max() == 1
        assert taken.sum() == sum(token_lengths)

    def test_hardly_anything_is_padding(self) -> None:
        token_lengths = np.random.default_rng(7).integers(20, 1000, size=500)
        row_N, _ = pack_rows(token_lengths, row_tokens=1024)
        assert token_lengths.sum() / ((row_N.max() + 1) * 1024) > 0.95

    def test_an_item_that_is_longer_than_a_row_is_refused(self) -> None:
        with pytest.raises(ValueError, match="an item of 1025 tokens in rows of 1024"):
            pack_rows([3, 1025], row_tokens=1024)
