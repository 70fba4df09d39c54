"""int4: half a step everywhere, 18 dB with outlier channels, and bytes that a few lines of NumPy read."""

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
from actstore.quantize.int4 import Int4, group_width
from actstore.quantize.int8 import calibrate
from actstore.quantize.moments import Moments

Float32s = NDArray[np.float32]
ResidualStream = Callable[..., Float32s]

reasonable = st.floats(-1e4, 1e4, width=32)
positive = st.floats(2.0**-10, 2.0**10, width=32)


@st.composite
def rows_and_calibration(draw: st.DrawFn) -> tuple[Float32s, Calibration]:
    rows, width = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 5, 8, 129, 256, 258, 259]))
    values = draw(arrays.arrays(np.float32, (rows, width), elements=reasonable, fill=reasonable))
    center = draw(arrays.arrays(np.float32, width, elements=reasonable))
    channel = draw(arrays.arrays(np.float32, width, elements=positive))
    # Within the range of the scales, whatever the two are.
    reach = np.abs(values - center).max(initial=0) / channel.min()
    return values, Calibration(center, channel * np.float32(max(reach / 2e5, 1)))


def calibrated_to(values_ND: Float32s) -> Calibration:
    moments = Moments.of(values_ND)
    return calibrate(moments.mean_D, moments.variance_D)


def standard(width: int) -> Calibration:
    return Calibration(np.zeros(width, np.float32), np.ones(width, np.float32))


def scales_of(planes: Planes) -> NDArray[np.float16]:
    assert planes.scale_NG is not None
    return planes.scale_NG


def by_hand(planes: Planes, calibration: Calibration) -> Float32s:
    """The formula of docs/reference/format.md, a value at a time."""
    width = len(calibration.center_D)
    decoded = np.empty((len(planes.values_ND), width), np.float32)
    for row, (bytes_W, scale_G) in enumerate(zip(planes.values_ND, scales_of(planes), strict=True)):
        for d in range(width):
            q = (int(bytes_W[d // 2]) >> (4 * (d % 2))) % 16 - 8
            step = np.float32(scale_G[d // group_width(width)])
            decoded[row, d] = calibration.center_D[d] + calibration.channel_D[d] * (step * np.float32(q))
    return decoded


@given(rows_and_calibration())
def test_every_value_is_within_half_a_step(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    planes = Int4().encode(values, calibration)
    width = values.shape[1]
    scale = np.repeat(np.abs(scales_of(planes).astype(np.float64)), group_width(width), axis=1)[:, :width]
    step = calibration.channel_D.astype(np.float64) * scale
    error = np.abs(Int4().decode(planes, calibration).astype(np.float64) - values)
    # Arithmetic in float32: a few units in the last place of the largest number on the way.
    largest = np.abs(values) + np.abs(calibration.center_D) + 8 * step
    assert (error <= step / 2 + 8 * np.finfo(np.float32).eps * largest).all()


@given(rows_and_calibration())
def test_a_row_does_not_depend_on_its_neighbours(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    whole = Int4().encode(values, calibration)
    for row in range(len(values)):
        alone = Int4().encode(values[row : row + 1], calibration)
        assert alone.values_ND.tobytes() == whole.values_ND[row].tobytes()
        assert scales_of(alone).tobytes() == scales_of(whole)[row].tobytes()


@given(rows_and_calibration())
def test_the_documented_formula_gives_the_decoded_values(case: tuple[Float32s, Calibration]) -> None:
    values, calibration = case
    planes = Int4().encode(values, calibration)
    np.testing.assert_array_equal(Int4().decode(planes, calibration), by_hand(planes, calibration))


def test_two_channels_share_a_byte_and_the_scale_turns_the_far_side_to_minus_eight() -> None:
    values = np.array([[-8, 7, 0, 1, -1], [8, -7, 0, 1, -1], [0, 0, 0, 0, 0]], np.float32)
    planes = Int4().encode(values, standard(5))
    assert planes.values_ND.tolist() == [[0xF0, 0x98, 0x87], [0xF0, 0x78, 0x89], [0x88, 0x88, 0x88]]
    assert np.sign(scales_of(planes)).tolist() == [[1], [-1], [0]]
    # 8 of 8.5 steps on the far side, so the step is a little less than one.
    assert np.abs(scales_of(planes))[:2].tolist() == pytest.approx(np.full((2, 1), 8 / 8.5), rel=1e-3)


def test_a_row_of_one_sign_uses_the_longer_side() -> None:
    values = np.linspace(0, 8.5, 16, dtype=np.float32)[None]
    planes = Int4().encode(values, standard(16))
    assert scales_of(planes).tolist() == [[-1]]
    # Eight levels and zero; the largest value is just half a step beyond the last.
    assert set(Int4().decode(planes, standard(16))[0].tolist()) == set(range(9))


@pytest.mark.parametrize(
    ("width", "wide", "groups"),
    [
        (1, 2, 1), (5, 6, 1), (127, 128, 1), (128, 128, 1), (129, 130, 1), (255, 256, 1), (256, 128, 2), (320, 160, 2),
        (480, 160, 3), (640, 128, 5), (1024, 128, 8), (1280, 128, 10), (2560, 128, 20), (5120, 128, 40),
    ],
)  # fmt: skip
def test_groups_are_of_128_channels_or_little_more(width: int, wide: int, groups: int) -> None:
    assert (group_width(width), Int4().scale_groups(width)) == (wide, groups)


def test_bits_a_value_are_at_most_4_2_from_128_channels_up() -> None:
    for width in range(128, 6000):
        bits = (8 * Int4().stored_width(width) + 16 * Int4().scale_groups(width)) / width
        assert bits <= 4.2
        assert group_width(width) % 2 == 0


@pytest.mark.parametrize("width", [128, 320, 1024])
def test_eighteen_decibels_even_in_the_worst_channel_beside_outliers(
    residual_stream: ResidualStream, width: int
) -> None:
    values = residual_stream(2000, width, outliers=4)
    calibration = calibrated_to(values[:500])
    planes = Int4().encode(values, calibration)
    kept = fidelity(Moments.of(values).m2_D, round_trip_noise(values, planes, Int4(), calibration))
    bits = 8 * (planes.values_ND.nbytes + scales_of(planes).nbytes) / values.size
    assert (kept.median_db or 0) >= 19
    assert (kept.worst_db or 0) >= 18
    assert bits <= 4.2


def test_a_huge_value_spoils_its_own_group_only() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 512)).astype(np.float32)
    ordinary = Int4().encode(values, standard(512))
    values[1, 200] = 1e5
    planes = Int4().encode(values, standard(512))
    assert planes.values_ND[[0, 2]].tobytes() == ordinary.values_ND[[0, 2]].tobytes()
    same_64 = planes.values_ND.reshape(3, 4, 64) == ordinary.values_ND.reshape(3, 4, 64)
    assert same_64[1, [0, 2, 3]].all()
    # Zero is a level: the others of that group become their centre, not plus or minus half of a huge step.
    decoded = Int4().decode(planes, standard(512))[1, 128:256]
    assert decoded[72] == pytest.approx(1e5, rel=0.07)
    assert not np.delete(decoded, 72).any()


@pytest.mark.parametrize("width", [1, 5, 129, 255, 259])
def test_what_pads_the_last_byte_and_the_last_group_is_zero_in_every_block(width: int) -> None:
    values = np.random.default_rng(0).normal(size=(700, width)).astype(np.float32)
    planes = Int4().encode(values, standard(width))
    if width % 2:
        assert (planes.values_ND[:, -1] >> 4 == 8).all()
    alone = [Int4().encode(values[row : row + 1], standard(width)) for row in range(0, 700, 99)]
    assert np.concatenate([scales_of(one) for one in alone]).tobytes() == scales_of(planes)[::99].tobytes()


def test_rows_at_the_centre_are_exact() -> None:
    calibration = Calibration(np.array([1.5, -2, 1e-3], np.float32), np.array([1, 50, 1e-3], np.float32))
    planes = Int4().encode(np.stack([calibration.center_D] * 3), calibration)
    assert scales_of(planes).tolist() == [[0], [0], [0]]
    assert Int4().decode(planes, calibration).tolist() == [calibration.center_D.tolist()] * 3


def test_no_rows() -> None:
    none = Int4().encode(np.empty((0, 5), np.float32), standard(5))
    assert (none.values_ND.shape, scales_of(none).shape) == ((0, 3), (0, 1))
    assert Int4().decode(none, standard(5)).shape == (0, 5)


def test_the_smallest_differences_do_not_vanish_into_a_scale_of_zero() -> None:
    planes = Int4().encode(np.array([[1e-9, -2e-9]], np.float32), standard(2))
    assert scales_of(planes)[0, 0] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 65504 * 8.5 * 1.01], ids=["nan", "inf", "-inf", "beyond"])
def test_a_row_beyond_the_scale_is_an_error_that_says_which(bad: float) -> None:
    values = np.zeros((600, 300), np.float32)
    values[555, 177] = bad
    with pytest.raises(NumericsError, match=r"int4 scale of row 555 .*bfloat16"):
        Int4().encode(values, standard(300))


def test_encoding_gives_the_same_bytes_every_time(residual_stream: ResidualStream) -> None:
    values = residual_stream(1500, 200)
    calibration = calibrated_to(values)
    one, other = (Int4().encode(part, calibration) for part in (values, np.asfortranarray(values)))
    assert one.values_ND.tobytes() == other.values_ND.tobytes()
    assert scales_of(one).tobytes() == scales_of(other).tobytes()


@pytest.mark.parametrize("width", [12, 257])
def test_decoding_broadcasts_calibrations_stacked_over_sites(residual_stream: ResidualStream, width: int) -> None:
    sites = [residual_stream(50, width, seed=seed) for seed in range(3)]
    calibrations = [calibrated_to(values) for values in sites]
    planes = [Int4().encode(values, one) for values, one in zip(sites, calibrations, strict=True)]
    stacked = Planes(
        np.stack([plane.values_ND for plane in planes], axis=1), np.stack([scales_of(one) for one in planes], axis=1)
    )
    together = Calibration(
        np.stack([one.center_D for one in calibrations]), np.stack([one.channel_D for one in calibrations])
    )
    decoded_NSD = Int4().decode(stacked, together)
    for site, (plane, one) in enumerate(zip(planes, calibrations, strict=True)):
        assert decoded_NSD[:, site].tobytes() == Int4().decode(plane, one).tobytes()


def test_scales_that_pad_a_narrower_site_are_ignored() -> None:
    values = np.random.default_rng(0).normal(size=(4, 10)).astype(np.float32)
    planes = Int4().encode(values, standard(10))
    padded = Planes(planes.values_ND, np.pad(scales_of(planes), ((0, 0), (0, 3))))
    assert Int4().decode(padded, standard(10)).tobytes() == Int4().decode(planes, standard(10)).tobytes()


def test_no_calibration_and_too_few_scales_are_refused() -> None:
    values = np.zeros((1, 300), np.float32)
    planes = Int4().encode(values, standard(300))
    with pytest.raises(ValueError, match="int4 needs a calibration"):
        Int4().encode(values)
    with pytest.raises(ValueError, match="need 2 scales"):
        Int4().decode(Planes(planes.values_ND, None), standard(300))
    with pytest.raises(ValueError, match="need 2 scales"):
        Int4().decode(Planes(planes.values_ND, scales_of(planes)[:, :1]), standard(300))
