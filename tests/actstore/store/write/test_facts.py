import numpy as np
import pytest
from pydantic import ValidationError

from actstore.store.write.facts import CalibrationFacts, CompressionFacts


def vector(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(numbers, dtype=np.float32)


def test_a_calibration_gives_its_arrays() -> None:
    calibration = CalibrationFacts(center=vector(0, -3), channel=vector(1, 50)).to_calibration()
    np.testing.assert_array_equal(calibration.center_D, vector(0, -3))
    np.testing.assert_array_equal(calibration.channel_D, vector(1, 50))


@pytest.mark.parametrize(
    ("center", "channel", "problem"),
    [
        (1e31, 1.0, "a centre exceeds 1e"),
        (0.0, 0.0, "scale of a channel is not within"),
        (0.0, -1.0, "scale of a channel is not within"),
        (0.0, 1e31, "scale of a channel is not within"),
        (float("nan"), 1.0, "holds NaN or Inf"),
    ],
)
def test_one_that_decodes_to_no_finite_values_is_refused(center: float, channel: float, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        CalibrationFacts(center=vector(center), channel=vector(channel))


def test_sizes_give_ratios_over_uncompressed() -> None:
    facts = CompressionFacts(rows=1024, value_bytes={"none": 4000, "zstd": 2000, "blosc": 5000})
    assert facts.ratios == {"zstd": 2.0, "blosc": 0.8}
    with pytest.raises(ValidationError, match="value_bytes has no 'none'"):
        CompressionFacts(rows=8, value_bytes={"zstd": 5})
