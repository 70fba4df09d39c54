"""How much of the signal an encoding keeps, in decibels."""

import numpy as np
import pytest

from actstore.contracts.planes import Planes
from actstore.quantize.fidelity import Fidelity, fidelity, round_trip_noise
from actstore.quantize.floats import Float16


def test_decibels_are_ten_times_the_logarithm_of_the_ratio() -> None:
    kept = fidelity(np.array([1000.0, 1000.0, 1000.0]), np.array([1.0, 10.0, 0.1]))
    assert kept.median_db == pytest.approx(30)
    assert kept.worst_db == pytest.approx(20)
    assert kept.worst_channel == 1


def test_constant_channels_carry_no_signal_and_are_left_out() -> None:
    kept = fidelity(np.array([0.0, 100.0, 0.0]), np.array([5.0, 1.0, 0.0]))
    assert list(kept) == pytest.approx([20, 20, 1])


@pytest.mark.parametrize(
    ("m2", "noise"), [([], []), ([0.0, 0.0], [1.0, 0.0]), ([1.0, 2.0], [0.0, 0.0])], ids=["none", "constant", "exact"]
)
def test_where_nothing_is_lost_there_is_no_number(m2: list[float], noise: list[float]) -> None:
    assert fidelity(np.array(m2), np.array(noise)) == Fidelity(None, None, None)


def test_exact_channels_count_as_infinitely_good() -> None:
    kept = fidelity(np.array([10.0, 10.0, 10.0]), np.array([0.0, 1.0, 0.0]))
    assert kept.median_db is None
    assert list(kept[1:]) == pytest.approx([10, 1])


def test_noise_is_the_sum_of_squared_errors_of_what_was_stored() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    stored = Planes(np.array([[1.5, 2.0], [3.0, 6.0]], np.float16), None)
    assert round_trip_noise(values, stored, Float16(), None).tolist() == [0.25, 4]
