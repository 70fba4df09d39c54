import numpy as np
import pytest

from benchmarks.data.planted import mean_max_cosine, plant


def test_each_row_is_a_sum_of_a_few_directions_about_a_common_mean() -> None:
    made = plant(rows=40_000, width=64, directions=100, active=3, seed=0)
    centred_ND = made.values_ND - made.values_ND.mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(made.direction_FD, axis=1), 1.0, rtol=1e-6)
    # Squared weights have a mean of 13/12; the mean of the code takes a little of them away.
    assert float((centred_ND**2).sum(axis=1).mean()) == pytest.approx(3 * 13 / 12, rel=0.1)


def test_directions_differ_in_how_often_they_are_used() -> None:
    made = plant(rows=20_000, width=256, directions=20, active=2, seed=1)
    projection_NF = (made.values_ND - made.values_ND.mean(axis=0)) @ made.direction_FD.T
    spread_F = projection_NF.std(axis=0)
    assert spread_F.max() > 2 * spread_F.min()


def test_the_same_seed_makes_the_same_rows() -> None:
    one, again = (plant(rows=100, width=8, directions=20, active=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.values_ND, again.values_ND)


def test_directions_that_are_found_have_a_cosine_of_one() -> None:
    truth_FD = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0].astype(np.float32)
    assert mean_max_cosine(truth_FD, 5 * truth_FD[::-1]) == pytest.approx(1)
    assert mean_max_cosine(truth_FD, truth_FD[:4]) == pytest.approx(0.5, abs=1e-6)
