import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.sequences import Window
from actstore.corpus.windows import cut_windows, window_counts


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int]:
    window = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, window - 1))
    return draw(st.integers(1, 200)), window, overlap


def context(position: int, window: Window, length: int) -> float:
    """Residues between a position and the nearer edge at which the protein was cut."""
    left = math.inf if window.start == 0 else position - window.start
    right = math.inf if window.stop == length else window.stop - 1 - position
    return min(left, right)


def test_a_sequence_that_fits_is_one_window() -> None:
    assert cut_windows(1022, window=1022, overlap=256) == (Window(0, 1022, 0, 1022),)


def test_one_residue_more_makes_two_windows_that_meet_in_the_middle() -> None:
    assert cut_windows(1023, window=1022, overlap=256) == (Window(0, 1022, 0, 511), Window(1, 1023, 511, 1023))


def test_the_longest_natural_protein() -> None:
    windows = cut_windows(34_350, window=1022, overlap=256)
    assert len(windows) == 45
    assert windows[0].start == 0
    assert windows[-1].stop == 34_350


@given(cuts())
def test_there_are_as_few_windows_as_the_overlap_allows(cut: tuple[int, int, int]) -> None:
    length, window, overlap = cut
    expected = 1 if length <= window else math.ceil((length - overlap) / (window - overlap))
    assert len(cut_windows(length, window=window, overlap=overlap)) == expected


@given(cuts())
def test_windows_have_full_size_cover_the_ends_and_overlap_enough(cut: tuple[int, int, int]) -> None:
    length, window, overlap = cut
    windows = cut_windows(length, window=window, overlap=overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == length
    assert all(each.stop - each.start == min(window, length) for each in windows)
    assert all(before.stop - after.start >= overlap for before, after in pairwise(windows))


@given(cuts())
def test_starts_are_evenly_spread(cut: tuple[int, int, int]) -> None:
    length, window, overlap = cut
    starts = [each.start for each in cut_windows(length, window=window, overlap=overlap)]
    steps = [after - before for before, after in pairwise(starts)]
    assert not steps or max(steps) - min(steps) <= 1


@given(cuts())
def test_each_residue_is_kept_once(cut: tuple[int, int, int]) -> None:
    length, window, overlap = cut
    windows = cut_windows(length, window=window, overlap=overlap)
    kept = [position for each in windows for position in range(each.keep_start, each.keep_stop)]
    assert kept == list(range(length))


@given(cuts())
def test_each_residue_is_kept_where_it_has_most_context(cut: tuple[int, int, int]) -> None:
    length, window, overlap = cut
    windows = cut_windows(length, window=window, overlap=overlap)
    for each in windows:
        for position in range(each.keep_start, each.keep_stop):
            candidates = [other for other in windows if other.start <= position < other.stop]
            assert context(position, each, length) == max(context(position, other, length) for other in candidates)


@given(st.lists(st.integers(1, 40_000), min_size=1), st.integers(2, 1500), st.data())
def test_counts_agree_with_the_windows(lengths: list[int], window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, min(window - 1, window * 3 // 4)))
    count_N = window_counts(np.array(lengths, dtype=np.int32), window=window, overlap=overlap)
    assert count_N.dtype == np.int32
    assert count_N.tolist() == [len(cut_windows(length, window=window, overlap=overlap)) for length in lengths]


@pytest.mark.parametrize("overlap", [-1, 10, 11])
def test_an_overlap_must_be_smaller_than_the_window(overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"overlap must be in 0 \.\. window - 1 = 9, not {overlap}"):
        cut_windows(30, window=10, overlap=overlap)


def test_a_sequence_has_at_least_one_residue() -> None:
    with pytest.raises(ValueError, match="length must be at least 1, not 0"):
        cut_windows(0, window=10, overlap=2)
