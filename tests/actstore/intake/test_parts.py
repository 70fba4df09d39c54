import numpy as np
import pytest

from actstore.errors import SourceError
from actstore.intake.parts import Boundaries, Concatenated, Mapped, masked


def test_arrays_one_below_the_other_are_one() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    whole = Concatenated([Mapped(rows[:7]), Mapped(rows[7:7]), Mapped(rows[7:8]), Mapped(rows[8:])])
    assert whole.shape == (20, 3)
    for start in range(20):
        for stop in range(start + 1, 21):
            np.testing.assert_array_equal(whole.read(start, stop), rows[start:stop])


def test_what_is_read_belongs_to_the_reader() -> None:
    rows = np.zeros((4, 3), dtype=np.float32)
    Mapped(rows).read(0, 4)[:] = 1
    assert not rows.any()


def test_boundaries_without_a_gap() -> None:
    bounds = Boundaries.of_lengths(np.array([3, 0, 4]))
    assert bounds.start_S.tolist() == [0, 3, 3]


def test_masks_say_where_residues_are() -> None:
    start_B, length_B = masked(np.array([[0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0]]), "a")
    assert start_B[length_B > 0].tolist() == [1, 3, 9]
    assert length_B.tolist() == [2, 3, 0, 1]
    with pytest.raises(SourceError, match="a: the mask of sequence 1 has a gap"):
        masked(np.array([[1, 1, 1], [1, 0, 1]]), "a")
