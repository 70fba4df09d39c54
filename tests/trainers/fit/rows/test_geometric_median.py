import numpy as np
import pytest

from trainers.fit.rows.geometric_median import geometric_median


def test_it_ignores_a_few_rows_far_away() -> None:
    values_ND = np.random.default_rng(0).standard_normal((1000, 4)).astype(np.float32)
    values_ND[:50] += 1000
    assert np.abs(geometric_median(values_ND)).max() < 0.3
    assert np.abs(values_ND.mean(axis=0)).min() > 10


def test_no_other_point_is_nearer_to_the_rows() -> None:
    rng = np.random.default_rng(1)
    values_ND = rng.exponential(size=(300, 3))
    median_D = geometric_median(values_ND)
    least = np.linalg.norm(values_ND - median_D, axis=1).sum()
    for step_D in 0.01 * rng.standard_normal((50, 3)):
        assert np.linalg.norm(values_ND - median_D - step_D, axis=1).sum() > least


def test_rows_times_a_million_have_the_median_times_a_million() -> None:
    values_ND = np.random.default_rng(2).exponential(size=(100, 3))
    assert geometric_median(1e6 * values_ND) == pytest.approx(1e6 * geometric_median(values_ND), rel=1e-9)


def test_equal_rows_are_their_own_median() -> None:
    assert geometric_median(np.full((5, 2), 3.0)).tolist() == [3.0, 3.0]
