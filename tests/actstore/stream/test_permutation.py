"""A permutation that is worked out place by place: each row once, in no order that a test could tell from chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.stream.permutation import Permutation

BORDERS = [1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537]
"""Powers of two and their neighbours: where the walk along cycles is longest, and where there is none."""


def whole(count: int, *, seed: int = 0, epoch: int = 0) -> NDArray[np.int64]:
    return Permutation(count, seed=seed, epoch=epoch)(0, count)


def excess(found: NDArray[np.int64], expected: float, freedom: int) -> float:
    """Return by how many of its standard deviations a chi-square statistic exceeds its mean."""
    chi_square = float(((found - expected) ** 2 / expected).sum())
    return (chi_square - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("count", BORDERS)
def test_every_place_is_taken_once(count: int) -> None:
    assert np.sort(whole(count)).tolist() == list(range(count))


@given(count=st.integers(1, 5000), seed=st.integers(0, 2**63), epoch=st.integers(0, 2**31))
def test_every_place_is_taken_once_for_any_count_seed_and_epoch(count: int, seed: int, epoch: int) -> None:
    assert np.sort(whole(count, seed=seed, epoch=epoch)).tolist() == list(range(count))


@given(count=st.integers(1, 3000), data=st.data())
def test_a_stretch_is_what_the_whole_has_there(count: int, data: st.DataObject) -> None:
    start, stop = sorted(data.draw(st.tuples(st.integers(0, count), st.integers(0, count))))
    permutation = Permutation(count, seed=3, epoch=1)
    assert permutation(start, stop).tolist() == permutation(0, count)[start:stop].tolist()


def test_billions_of_rows_need_no_memory() -> None:
    count = 40_000_000_000
    permutation = Permutation(count, seed=0, epoch=0)
    places = permutation(count - 1000, count)
    assert len(set(places.tolist())) == 1000
    assert 0 <= places.min() < count / 4 < 3 * count / 4 < places.max() < count


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 11), (5, 4)])
def test_there_are_no_other_places(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match=f"places {start} to {stop} of 10"):
        Permutation(10, seed=0, epoch=0)(start, stop)


def test_seeds_and_epochs_have_permutations_of_their_own() -> None:
    seen = {whole(100, seed=seed, epoch=epoch).tobytes() for seed in range(20) for epoch in range(20)}
    assert len(seen) == 400


def test_an_epoch_says_nothing_of_the_next() -> None:
    """Neighbouring epochs, seeds, and (seed, epoch) exchanged are uncorrelated, and fix about one place each."""
    count = 20_000
    first = whole(count)
    for seed, epoch in ((0, 1), (1, 0), (1, 1), (2, 0)):
        other = whole(count, seed=seed, epoch=epoch)
        assert abs(np.corrcoef(first, other)[0, 1]) < 5 / count**0.5
        assert (first == other).sum() < 8


@pytest.mark.parametrize("count", [2, 3, 5, 8, 31])
def test_rows_are_at_every_place_and_beside_every_other_equally_often(count: int) -> None:
    """Chi-square over 1,000 permutations: of (place, row), and of (row, its successor)."""
    times = 1000
    orders = np.array([whole(count, seed=seed, epoch=seed % 7) for seed in range(times)])
    place_row = np.zeros((count, count), dtype=np.int64)
    np.add.at(place_row, (np.arange(count), orders), 1)
    assert excess(place_row, times / count, (count - 1) ** 2) < 5
    successors = np.zeros((count, count), dtype=np.int64)
    np.add.at(successors, (orders[:, :-1], orders[:, 1:]), 1)
    different = ~np.eye(count, dtype=bool)
    assert not successors[~different].any()
    assert excess(successors[different], times / count, count * (count - 1) - 1) < 5


def test_long_permutations_have_no_pattern_either() -> None:
    """Sixteen stretches of places and of rows, and of rows and the rows that come one, two and 64 places later."""
    count, parts = 200_000, 16
    order = whole(count, seed=5)
    part = order * parts // count
    for one, other in (
        (np.arange(count) * parts // count, part),
        *((part[:-ahead], part[ahead:]) for ahead in (1, 2, 64)),
    ):
        found = np.bincount(one * parts + other, minlength=parts * parts)
        assert excess(found, len(one) / parts**2, (parts - 1) ** 2) < 5
    gaps = np.abs(np.diff(order))
    assert (gaps == 1).sum() < 20, "rows that follow each other in the store would follow each other in batches"
    assert gaps.mean() == pytest.approx(count / 3, rel=0.01)


@pytest.mark.parametrize(
    ("count", "seed", "epoch", "places"),
    [
        (10, 0, 0, [0, 8, 3, 9, 2, 1, 4, 7, 5, 6]),
        (10, 0, 1, [2, 3, 1, 4, 9, 7, 5, 6, 8, 0]),
        (1000, 7, 2, [919, 755, 400, 626, 218, 780]),
        (40_000_000_000, 0, 0, [35211570621, 30046933601, 28306744762, 37463297512]),
    ],
)
def test_the_order_never_changes(count: int, seed: int, epoch: int, places: list[int]) -> None:
    """A cursor that was saved years ago must find the rows that it left."""
    assert Permutation(count, seed=seed, epoch=epoch)(0, len(places)).tolist() == places
