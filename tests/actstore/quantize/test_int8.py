"""int8: nothing clips, and outlier channels do not cost the others their precision."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration, Planes
from actstore.errors import NumericsError
from actstore.quantize.fidelity import fidelity, round_trip_noise
from actstore.quantize.int8 import Int8, calibrate
from actstore.quantize.moments import Moments

Float32s = NDArray[np.float32]
ResidualStream = Callable[..., Float32s]

reasonable = st.floats(-1e4, 1e4, width=32)
positive = st.floats(2.0**-10, 2.0**10, width=32)


@st.composite
def rows_and_calibration(draw: st.DrawFn) -> tuple[Float32s, Calibration]:
    rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    values = draw(arrays.arrays(np.float32, (rows, width), elements=reasonable))
    center = draw(arrays.arrays(np.float32, width, elements=reasonable))
    channel = draw(arrays.arrays(np.float32, width, elements=positive))
    # Within the range of the row scale, whatever the two are.
    reach = np.abs(values - center).max(initial=0) / channel.min()
    return values, Calibration(center, channel * np.float32(max(reach / 4e6, 1)))


def calibrated_to(values_ND: Float32s) -> Calibration:
    moments = Moments.of(values_ND)
    return calibrate(moments.mean_D, moments.variance_D)


def naive_row_int8(values_ND: Float32s) -> Float32s:
    """What a scale for each row alone would give."""
    scale_N1 = np.abs(values_ND).max(axis=1, keepdims=True) / 127
    decoded_ND: Float32s = np.rint(values_ND / scale_N1) * scale_N1
    return decoded_ND


@given(rows_and_calibration())
def test_every_value_is_within_half_a_step(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    planes = Int8().encode(values, calibration)
    assert planes.scale_NG is not None
    step = calibration.channel_D.astype(np.float64) * planes.scale_NG.astype(np.float64)
    error = np.abs(Int8().decode(planes, calibration).astype(np.float64) - values)
    # Arithmetic in float32: a few units in the last place of the largest number on the way.
    largest = np.abs(values) + np.abs(calibration.center_D) + 127 * step
    assert (error <= step / 2 + 4 * np.finfo(np.float32).eps * largest).all()


@given(rows_and_calibration())
def test_nothing_clips(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    q = Int8().encode(values, calibration).values_ND
    assert q.dtype == np.int8
    assert q.min(initial=0) >= -127


@given(rows_and_calibration())
def test_a_row_does_not_depend_on_its_neighbours(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    whole = Int8().encode(values, calibration)
    assert whole.scale_NG is not None
    for row in range(len(values)):
        alone = Int8().encode(values[row : row + 1], calibration)
        assert alone.scale_NG is not None
        assert alone.values_ND.tobytes() == whole.values_ND[row].tobytes()
        assert alone.scale_NG.tobytes() == whole.scale_NG[row].tobytes()


def test_the_largest_value_of_a_row_uses_almost_all_levels() -> None:
    """The row scale is rounded up to float16, which costs at most one part in a thousand."""
    values = np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32)
    q = Int8().encode(values, Calibration(np.zeros(16, np.float32), np.ones(16, np.float32))).values_ND
    assert (np.abs(q.astype(int)).max(axis=1) >= 126).all()


@pytest.mark.parametrize("width", [128, 1024])
def test_outlier_channels_cost_the_others_nothing(residual_stream: ResidualStream, width: int) -> None:
    calibration = calibrated_to(residual_stream(2000, width)[:500])
    values = residual_stream(2000, width)
    planes = Int8().encode(values, calibration)
    assert planes.scale_NG is not None
    kept = fidelity(Moments.of(values).m2_D, round_trip_noise(values, planes, Int8(), calibration))
    bits = 8 * (planes.values_ND.nbytes + planes.scale_NG.nbytes) / values.size
    assert kept.median_db is not None
    assert kept.worst_db is not None
    assert kept.median_db >= 38
    assert kept.worst_db >= 30
    assert bits <= 8.2


@pytest.mark.parametrize("width", [128, 1024])
def test_a_row_scale_alone_would_lose_the_ordinary_channels(residual_stream: ResidualStream, width: int) -> None:
    values = residual_stream(2000, width)
    m2_D = Moments.of(values).m2_D
    calibration = calibrated_to(values)
    ours = fidelity(m2_D, round_trip_noise(values, Int8().encode(values, calibration), Int8(), calibration))
    naive = fidelity(m2_D, ((naive_row_int8(values) - values).astype(np.float64) ** 2).sum(axis=0))
    assert ours.median_db is not None
    assert naive.median_db is not None
    assert ours.median_db - naive.median_db >= 10


def test_a_huge_row_keeps_its_direction_and_leaves_the_others_alone() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 64)).astype(np.float32)
    calibration = calibrated_to(values)
    ordinary = Int8().encode(values, calibration)
    values[40] *= 1e4
    planes = Int8().encode(values, calibration)
    others = np.arange(100) != 40
    assert planes.values_ND[others].tobytes() == ordinary.values_ND[others].tobytes()
    decoded = Int8().decode(planes, calibration)[40].astype(np.float64)
    cosine = decoded @ values[40] / np.linalg.norm(decoded) / np.linalg.norm(values[40])
    assert cosine > 0.9999


def test_rows_at_the_centre_are_exact() -> None:
    calibration = Calibration(np.array([1.5, -2, 1e-3], np.float32), np.array([1, 50, 1e-3], np.float32))
    planes = Int8().encode(np.stack([calibration.center_D] * 3), calibration)
    assert planes.scale_NG is not None
    assert planes.scale_NG.tolist() == [[0], [0], [0]]
    assert not planes.values_ND.any()
    assert Int8().decode(planes, calibration).tolist() == [calibration.center_D.tolist()] * 3


def test_zero_rows_and_no_rows() -> None:
    calibration = Calibration(np.zeros(4, np.float32), np.ones(4, np.float32))
    zero = Int8().encode(np.zeros((2, 4), np.float32), calibration)
    assert Int8().decode(zero, calibration).tolist() == np.zeros((2, 4)).tolist()
    none = Int8().encode(np.empty((0, 4), np.float32), calibration)
    assert Int8().decode(none, calibration).shape == (0, 4)


def test_the_smallest_differences_do_not_vanish_into_a_scale_of_zero() -> None:
    calibration = Calibration(np.zeros(2, np.float32), np.ones(2, np.float32))
    planes = Int8().encode(np.array([[1e-9, -1e-9]], np.float32), calibration)
    assert planes.scale_NG is not None
    assert planes.scale_NG[0, 0] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 65504.0 * 127 * 1.01], ids=["nan", "inf", "beyond the scale"])
def test_a_row_beyond_the_scale_is_an_error_that_says_which(bad: float) -> None:
    values = np.zeros((600, 3), np.float32)
    values[555, 1] = bad
    calibration = Calibration(np.zeros(3, np.float32), np.ones(3, np.float32))
    with pytest.raises(NumericsError, match=r"row 555 .*bfloat16"):
        Int8().encode(values, calibration)


def test_encoding_gives_the_same_bytes_every_time(residual_stream: ResidualStream) -> None:
    values = residual_stream(1500, 40)
    calibration = calibrated_to(values)
    one, other = (Int8().encode(part, calibration) for part in (values, np.asfortranarray(values)))
    assert one.scale_NG is not None
    assert other.scale_NG is not None
    assert one.values_ND.tobytes() == other.values_ND.tobytes()
    assert one.scale_NG.tobytes() == other.scale_NG.tobytes()


def test_decoding_broadcasts_calibrations_stacked_over_sites(residual_stream: ResidualStream) -> None:
    sites = [residual_stream(50, 12, seed=seed) for seed in range(3)]
    calibrations = [calibrated_to(values) for values in sites]
    planes = [Int8().encode(values, one) for values, one in zip(sites, calibrations, strict=True)]
    stacked = Planes(
        np.stack([plane.values_ND for plane in planes], axis=1),
        np.stack([plane.scale_NG for plane in planes if plane.scale_NG is not None], axis=1),
    )
    together = Calibration(
        np.stack([one.center_D for one in calibrations]), np.stack([one.channel_D for one in calibrations])
    )
    decoded_NSD = Int8().decode(stacked, together)
    for site, (plane, one) in enumerate(zip(planes, calibrations, strict=True)):
        assert decoded_NSD[:, site].tobytes() == Int8().decode(plane, one).tobytes()


def test_no_calibration_and_no_scales_are_refused() -> None:
    values = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="needs a calibration"):
        Int8().encode(values)
    with pytest.raises(ValueError, match="need a scale"):
        Int8().decode(Planes(values.astype(np.int8), None), Calibration(values[0], values[0] + 1))


def test_calibration_is_mean_and_deviation() -> None:
    calibration = calibrate(np.array([1.0, -2.0]), np.array([4.0, 9.0]))
    assert calibration.center_D.tolist() == [1, -2]
    assert calibration.channel_D.tolist() == [2, 3]
    assert calibration.center_D.dtype == calibration.channel_D.dtype == np.float32


def test_a_constant_channel_gets_a_hundredth_of_the_median_deviation() -> None:
    calibration = calibrate(np.zeros(5), np.array([0.0, 1e-20, 4.0, 4.0, 16.0]))
    assert calibration.channel_D.tolist() == pytest.approx([0.02, 0.02, 2, 2, 4])


def test_channels_that_are_all_constant_get_one() -> None:
    values = np.full((10, 3), 7.5, np.float32)
    calibration = calibrated_to(values)
    assert calibration.channel_D.tolist() == [1, 1, 1]
    assert Int8().decode(Int8().encode(values, calibration), calibration).tolist() == values.tolist()
