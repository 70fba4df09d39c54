import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.planes import Calibration
from actstore.errors import NumericsError
from actstore.quantize.scales import check_scales, needed, round_up


@given(st.floats(0, 70_000, width=32))
def test_a_scale_is_rounded_to_the_next_float16_that_is_not_smaller(scale: float) -> None:
    rounded = round_up(np.array([scale], np.float32))
    assert rounded.dtype == np.float16
    assert rounded[0] >= np.float32(scale)
    below = np.nextafter(rounded, np.float16(-1))[0]
    assert scale == 0 or np.float32(below) < np.float32(scale)


def test_beyond_float16_it_is_infinite() -> None:
    assert round_up(np.array([65504, 65505], np.float32)).tolist() == [65504, np.inf]


def test_the_first_row_with_a_bad_scale_is_named() -> None:
    scale_NG = np.ones((5, 3), np.float16)
    check_scales(scale_NG, start=0, encoding="int4", most=1e6)
    scale_NG[4, 0] = np.nan
    scale_NG[3, 1] = -np.inf
    with pytest.raises(NumericsError, match=r"^int4 scale of row 103 is inf: .*more than 1,000,000 channel deviations"):
        check_scales(scale_NG, start=100, encoding="int4", most=1e6)


def test_a_missing_calibration_is_refused_by_name() -> None:
    calibration = Calibration(np.zeros(1, np.float32), np.ones(1, np.float32))
    assert needed(calibration, encoding="int8") is calibration
    with pytest.raises(ValueError, match="int8 needs a calibration"):
        needed(None, encoding="int8")
