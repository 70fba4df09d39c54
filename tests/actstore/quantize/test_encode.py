import numpy as np
import pytest

from actstore.contracts.planes import Calibration, Planes
from actstore.quantize.encode import encode_rows
from actstore.quantize.measure import measure
from actstore.quantize.table import QUANTIZERS

WIDTH = 24


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    center_D, channel_D = rng.normal(size=WIDTH), rng.uniform(0.5, 20, WIDTH)
    return Calibration(center_D.astype(np.float32), channel_D.astype(np.float32))


def planes_of(encoding: str, calibration: Calibration) -> Planes:
    rows_ND = np.random.default_rng(1).normal(size=(300, WIDTH)).astype(np.float32) * calibration.channel_D
    return QUANTIZERS[encoding].encode(rows_ND, calibration)


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_rows_that_are_encoded_stay_as_they_are(encoding: str, calibration: Calibration) -> None:
    planes, quantizer = planes_of(encoding, calibration), QUANTIZERS[encoding]
    found = encode_rows(planes, quantizer, calibration)
    assert found.planes.values_ND is planes.values_ND
    assert found.planes.scale_NG is planes.scale_NG
    assert found.bad is None
    assert not found.measures.noise_D.any()
    wanted = measure(quantizer.decode(planes, calibration), planes, quantizer, calibration)
    np.testing.assert_array_equal(found.measures.moments.mean_D, wanted.moments.mean_D)
    np.testing.assert_array_equal(found.measures.max_abs_D, wanted.max_abs_D)


def test_rows_that_hold_inf_or_nan_are_reported(calibration: Calibration) -> None:
    planes = planes_of("int8", calibration)
    assert planes.scale_NG is not None
    planes.scale_NG[[7, 9]] = [[np.inf], [np.nan]]
    bad = encode_rows(planes, QUANTIZERS["int8"], calibration).bad
    assert bad is not None
    assert (bad.row, bad.rows) == (7, 2)
    assert not np.isfinite(bad.values_D).all()
