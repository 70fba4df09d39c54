from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.view.pages.axes import Axis, linear_axis, log_axis

POSITIVE = st.floats(1e-9, 1e15)


@given(low=POSITIVE, high=POSITIVE)
def test_a_logarithmic_axis_holds_its_numbers_between_round_ones(low: float, high: float) -> None:
    axis = log_axis([low, high])
    assert axis.low <= min(low, high) * (1 + 1e-9)
    assert axis.high >= max(low, high) * (1 - 1e-9)
    assert axis.ticks == tuple(sorted(set(axis.ticks)))
    assert axis.ticks[0] == axis.low < axis.high == axis.ticks[-1]
    assert all(f"{tick:.3g}".rstrip("0").replace(".", "").lstrip("0")[:1] in {"1", "2", "5"} for tick in axis.ticks)


@given(low=st.floats(-1e9, 1e9), span=st.floats(0, 1e9))
def test_a_linear_axis_holds_its_numbers_in_few_even_steps(low: float, span: float) -> None:
    axis = linear_axis(low, low + span)
    assert axis.at(low) >= -1e-3
    assert axis.at(low + span) <= 100 + 1e-3
    assert 2 <= len(axis.ticks) <= 8
    gaps = [right - left for left, right in pairwise(axis.ticks)]
    assert max(gaps) == pytest.approx(min(gaps), rel=1e-3)


def test_equal_ratios_are_equal_distances_on_a_logarithmic_axis() -> None:
    axis = log_axis([1, 10_000])
    assert [axis.at(tick) for tick in axis.ticks] == pytest.approx([0, 25, 50, 75, 100])


def test_numbers_below_the_axis_do_not_run_into_each_other() -> None:
    fractions = (0.01, 0.03, 0.1, 0.127, 0.3, 1.0)
    shown = log_axis(fractions, ticks=fractions).labels(str)
    assert [text for _, text in shown] == ["0.01", "0.03", "0.127", "0.3", "1.0"]


def test_single_letters_have_room_side_by_side() -> None:
    middles = tuple(place + 0.5 for place in range(24))
    assert len(Axis(0.0, 24.0, middles).labels(lambda x: "A")) == 24


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_has_no_logarithm_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        log_axis([1.0, value])
