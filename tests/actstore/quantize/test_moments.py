"""Moments of parts, merged in any way, are the moments of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from actstore.quantize.moments import Moments

Float32s = NDArray[np.float32]

few_rows = st.integers(1, 4).flatmap(
    lambda width: arrays.arrays(
        np.float32, st.tuples(st.integers(0, 30), st.just(width)), elements=st.floats(-1e4, 1e4, width=32)
    )
)


def assert_moments_of(moments: Moments, values_ND: Float32s) -> None:
    exact = values_ND.astype(np.float64)
    assert moments.count == len(exact)
    if not len(exact):
        assert not moments.mean_D.any()
        assert not moments.m2_D.any()
        return
    np.testing.assert_allclose(moments.mean_D, exact.mean(axis=0), rtol=1e-12, atol=1e-12)
    # The differences from the mean were taken in float32: relative to their size, and to that of the numbers.
    m2_D = ((exact - exact.mean(axis=0)) ** 2).sum(axis=0)
    unit = np.finfo(np.float32).eps * np.abs(exact).max(axis=0)
    assert (
        np.abs(moments.m2_D - m2_D) <= 1e-6 * m2_D + 1e-37 * len(exact) + len(exact) * unit * (unit + np.sqrt(m2_D))
    ).all()


@given(few_rows)
def test_moments_are_those_of_float64_arithmetic(values_ND: Float32s) -> None:
    assert_moments_of(Moments.of(values_ND), values_ND)


@given(few_rows, st.lists(st.integers(0, 30), max_size=5))
def test_merging_any_partition_gives_the_whole(values_ND: Float32s, cuts: list[int]) -> None:
    parts = np.split(values_ND, sorted(cut for cut in cuts if cut <= len(values_ND)))
    merged = Moments.merged(Moments.of(part) for part in parts)
    assert merged is not None
    assert_moments_of(merged, values_ND)


@given(few_rows, st.integers(0, 30), st.integers(0, 30))
def test_the_order_of_merging_does_not_matter(values_ND: Float32s, first: int, second: int) -> None:
    a, b, c = (Moments.of(part) for part in np.split(values_ND, sorted((first, second))))
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)):
        assert_moments_of(merged, values_ND)


def test_merging_nothing_is_nothing() -> None:
    assert Moments.merged([]) is None
    one = Moments.of(np.ones((3, 2), np.float32))
    none = Moments.of(np.empty((0, 2), np.float32))
    assert one.merge(none) is one
    assert none.merge(one) is one
    assert none.variance_D.tolist() == [0, 0]


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e5, 3e6])
def test_a_large_offset_costs_no_precision(offset: float) -> None:
    """The spread of numbers far from zero comes out right to what float32 rows can say about it."""
    rng = np.random.default_rng(0)
    values_ND = (offset + rng.normal(size=(20_000, 3))).astype(np.float32)
    exact_D = values_ND.astype(np.float64).var(axis=0)
    parts = [Moments.of(part) for part in np.array_split(values_ND, 7)]
    merged = Moments.merged(parts)
    assert merged is not None
    np.testing.assert_allclose(Moments.of(values_ND).variance_D, exact_D, rtol=1e-6)
    np.testing.assert_allclose(merged.variance_D, exact_D, rtol=1e-6)


def test_tasks_of_different_places_differ_in_their_means() -> None:
    """Variance between parts counts too, not only within them."""
    low, high = np.zeros((10, 1), np.float32), np.full((30, 1), 4, np.float32)
    merged = Moments.of(low).merge(Moments.of(high))
    assert merged.mean_D.tolist() == [3]
    assert merged.variance_D.tolist() == [3]


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_constant_channel_has_no_variance_however_it_is_cut(value: float, counts: list[int]) -> None:
    merged = Moments.merged(Moments.of(np.full((count, 1), value, np.float32)) for count in counts)
    assert merged is not None
    assert merged.mean_D.tolist() == [np.float32(value)]
    assert merged.m2_D.tolist() == [0]
