"""What is measured block by block is what float64 arithmetic gives for the whole."""

import numpy as np
import pytest

from actstore.contracts.planes import Planes
from actstore.quantize.floats import Float16
from actstore.quantize.int8 import Int8, calibrate
from actstore.quantize.measure import measure
from actstore.quantize.moments import Moments


@pytest.mark.parametrize("shape", [(0, 8), (1, 1), (700, 300), (40, 5_000)])
def test_measures_are_those_of_the_whole(shape: tuple[int, int]) -> None:
    rows, width = shape
    rng = np.random.default_rng(3)
    values_ND = (rng.standard_normal(shape) * np.geomspace(0.1, 50, width) + 3).astype(np.float32)
    calibration = calibrate(np.full(width, 3.0), np.geomspace(0.1, 50, width) ** 2)
    planes = Int8().encode(values_ND, calibration)
    found = measure(values_ND, planes, Int8(), calibration)

    exact_ND = values_ND.astype(np.float64)
    decoded_ND = Int8().decode(planes, calibration).astype(np.float64)
    moments = Moments.of(values_ND)
    assert found.moments.count == rows
    np.testing.assert_allclose(found.moments.mean_D, moments.mean_D, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.moments.m2_D, moments.m2_D, rtol=1e-5)
    np.testing.assert_allclose(found.norm_sum, np.linalg.norm(exact_ND, axis=1).sum(), rtol=1e-6)
    np.testing.assert_array_equal(found.max_abs_D, np.abs(exact_ND).max(axis=0, initial=0.0))
    np.testing.assert_allclose(found.noise_D, ((decoded_ND - exact_ND) ** 2).sum(axis=0), rtol=1e-5)


def test_values_whose_squares_exceed_float32_are_measured_in_float64() -> None:
    values_ND = np.full((3, 2), 1e25, dtype=np.float32)
    values_ND[0] = -1e25
    found = measure(values_ND, Planes(np.zeros((3, 2), dtype="<f2"), None), Float16(), None)
    exact_ND = values_ND.astype(np.float64)
    np.testing.assert_allclose(found.norm_sum, np.linalg.norm(exact_ND, axis=1).sum(), rtol=1e-6)
    np.testing.assert_allclose(found.noise_D, (exact_ND**2).sum(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.moments.m2_D, ((exact_ND - exact_ND.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-5)


def test_an_encoding_without_loss_makes_no_noise() -> None:
    values_ND = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert not measure(values_ND, Float16().encode(values_ND, None), Float16(), None).noise_D.any()
