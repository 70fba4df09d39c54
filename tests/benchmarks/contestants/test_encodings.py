import numpy as np
import pytest

from actstore.contracts.planes import Calibration
from actstore.contracts.progress import Silent
from benchmarks.contestants.encodings import ENCODINGS, NaiveInt8, decoded, signal_to_noise
from benchmarks.data.site_rows import PartSizes, SiteRows, synthetic_rows
from benchmarks.data.synthetic import SyntheticActivations

UNIT = Calibration(np.zeros(4, np.float32), np.ones(4, np.float32))


@pytest.fixture(scope="module")
def outliers() -> SiteRows:
    """Rows of a thousand channels, four of them loud, with a calibration from other proteins."""
    activations = SyntheticActivations(rows=6000, sites=1, width=1024, proteins=40)
    sizes = PartSizes(calibration_proteins=20, held_out_rows=2000, train_rows=0)
    return synthetic_rows("outliers", activations, sizes, progress=Silent())


def test_decibels_are_those_of_the_definition(outliers: SiteRows) -> None:
    values = outliers.held_out_ND.astype(np.float64)
    signal_D = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    for quantizer in ENCODINGS.values():
        noise_D = ((decoded(outliers.held_out_ND, quantizer, outliers.calibration) - values) ** 2).sum(axis=0)
        db_D = 10 * np.log10(signal_D / noise_D)
        measured = signal_to_noise(outliers.held_out_ND, quantizer, outliers.calibration)
        assert measured.median_db == pytest.approx(np.median(db_D), abs=0.01)
        assert measured.worst_db == pytest.approx(db_D.min(), abs=0.01)
        assert measured.worst_channel is not None
        assert db_D[measured.worst_channel] == pytest.approx(db_D.min(), abs=0.01)


def test_encodings_keep_what_their_bits_allow(outliers: SiteRows) -> None:
    noise = {
        name: signal_to_noise(outliers.held_out_ND, quantizer, outliers.calibration)
        for name, quantizer in ENCODINGS.items()
    }
    median = {name: each.median_db or 0.0 for name, each in noise.items()}
    worst = {name: each.worst_db or 0.0 for name, each in noise.items()}
    bits = {name: each.bits_per_value for name, each in noise.items()}
    # Three more bits of significand are 18 dB.
    assert median["float16"] - median["bfloat16"] == pytest.approx(18, abs=1)
    assert median["bfloat16"] > median["int8"] > median["int4"]
    # The same bits, spent otherwise.
    assert bits["int8"] == bits["naive_int8"] == 8 + 16 / 1024
    assert median["int8"] > median["naive_int8"] + 20
    assert worst["int8"] > worst["naive_int8"] + 30
    assert median["naive_int8"] < 20
    assert bits["float16"] == bits["bfloat16"] == 16
    assert bits["int4"] < 4.2


def test_naive_int8_loses_ordinary_channels_beside_a_loud_one() -> None:
    quantizer = NaiveInt8()
    quiet = np.array([[1.0, -0.5, 0.25, 127 / 128]], np.float32)
    loud = np.array([[1.0, -0.5, 0.25, 300.0]], np.float32)
    assert np.abs(decoded(quiet, quantizer, UNIT) - quiet).max() < 0.5 / 127 + 1e-3
    back = decoded(loud, quantizer, UNIT)
    assert back[0, 3] == pytest.approx(300, rel=1e-3)
    assert back[0, :3].tolist() == [0, 0, 0]


def test_naive_int8_takes_rows_of_zeros_and_does_not_wrap() -> None:
    values = np.zeros((3, 4), np.float32)
    # 1000 / 127 rounds down in float16.
    values[1] = [1000, -1000, 0, 500]
    planes = NaiveInt8().encode(values)
    assert planes.values_ND.dtype == np.int8
    assert planes.scale_NG is not None
    assert planes.scale_NG.shape == (3, 1)
    back = decoded(values, NaiveInt8(), UNIT)
    assert np.abs(back - values).max() < 5
    assert not back[[0, 2]].any()


def test_blocks_do_not_show() -> None:
    values = np.random.default_rng(0).standard_normal((8192 + 3, 4)).astype(np.float32)
    for quantizer in ENCODINGS.values():
        whole = decoded(values, quantizer, UNIT)
        assert whole[-3:].tobytes() == decoded(values[-3:], quantizer, UNIT).tobytes()
