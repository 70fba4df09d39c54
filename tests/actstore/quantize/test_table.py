"""The encodings of recipes are those of the table."""

from typing import get_args

import numpy as np
import pytest

from actstore.contracts.planes import Calibration, Quantizer
from actstore.contracts.recipe import EncodingName
from actstore.quantize.table import QUANTIZERS


def test_recipe_and_table_know_the_same_encodings_by_the_same_names() -> None:
    assert set(get_args(EncodingName)) == set(QUANTIZERS)
    assert all(name == quantizer.name for name, quantizer in QUANTIZERS.items())


@pytest.mark.parametrize("quantizer", QUANTIZERS.values(), ids=QUANTIZERS.keys())
def test_every_encoding_keeps_its_protocol(quantizer: Quantizer) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 6)).astype(np.float32)
    calibration = Calibration(np.zeros(6, np.float32), np.ones(6, np.float32)) if quantizer.calibrated else None
    planes = quantizer.encode(values, calibration)
    assert planes.values_ND.dtype == quantizer.stored_dtype
    assert quantizer.stored_dtype.str[0] in "<|"
    assert planes.values_ND.shape == (20, quantizer.stored_width(6))
    assert (planes.scale_NG is not None) == (quantizer.scales is not None) == quantizer.calibrated
    if planes.scale_NG is None:
        assert quantizer.scale_groups(6) == 0
    else:
        assert planes.scale_NG.shape == (20, quantizer.scale_groups(6))
        assert planes.scale_NG.dtype == np.float16
    decoded = quantizer.decode(planes, calibration)
    assert decoded.dtype == np.float32
    assert np.abs(decoded - values).max() < (0.25 if quantizer.stored_width(6) < 6 else 0.02)
