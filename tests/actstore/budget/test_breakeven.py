import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.budget.breakeven import break_even

# Whole cents, in binary fractions, so that sums are exact.
CENTS = st.integers(0, 10**6).map(lambda cents: cents / 64)


@given(once=CENTS, per_run=CENTS, online=CENTS)
def test_it_is_the_first_run_at_which_the_store_is_cheaper(once: float, per_run: float, online: float) -> None:
    def is_cheaper(runs: int) -> bool:
        return once + runs * per_run < runs * online

    runs, reason = break_even(store_once=once, store_per_run=per_run, online_per_run=online)
    if runs is None:
        assert reason
        assert not any(map(is_cheaper, range(1, 100)))
    else:
        assert reason is None
        assert is_cheaper(runs)
        assert runs == 1 or not is_cheaper(runs - 1)


def test_a_store_that_costs_more_to_read_never_pays() -> None:
    answer = break_even(store_once=0.0, store_per_run=20.8, online_per_run=6.8)
    assert answer == (None, "never: reading the store costs $20.80 a run, running the model $6.80")


def test_a_store_that_saves_next_to_nothing_never_pays_either() -> None:
    runs, reason = break_even(store_once=1e6, store_per_run=0.0, online_per_run=1e-300)
    assert runs is None
    assert reason is not None
    assert reason.startswith("never within 1,000,000 runs")


@pytest.mark.parametrize(("once", "runs"), [(0.0, 1), (9.99, 1), (10.0, 2), (95.0, 10)])
def test_at_equal_cost_it_takes_one_run_more(once: float, runs: int) -> None:
    assert break_even(store_once=once, store_per_run=0.0, online_per_run=10.0).runs == runs


@pytest.mark.parametrize("costs", [(float("nan"), 1.0, 2.0), (1.0, float("nan"), 2.0), (1.0, 1.0, float("nan"))])
def test_what_is_not_a_number_is_never_cheaper(costs: tuple[float, float, float]) -> None:
    once, per_run, online = costs
    found = break_even(store_once=once, store_per_run=per_run, online_per_run=online)
    assert found.runs is None
    assert found.reason is not None
