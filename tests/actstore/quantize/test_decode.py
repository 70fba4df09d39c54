"""Stored values are decoded without a store, and wrong arrays are refused."""

from typing import Any

import numpy as np
import pytest

from actstore.contracts.planes import Calibration
from actstore.errors import UsageError
from actstore.quantize.decode import decode
from actstore.quantize.int4 import group_width
from actstore.quantize.table import QUANTIZERS
from actstore.stream.gather import NumpyGather
from actstore.stream.tensors.gather import TorchGather
from tests.actstore.stream.encoded import encode_rows

ROWS, WIDTH = 20, 300


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_what_was_encoded_comes_back_as_the_encoding_says(encoding: str) -> None:
    rng = np.random.default_rng(0)
    values_ND = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    calibration = Calibration(values_ND.mean(axis=0), values_ND.std(axis=0))
    quantizer = QUANTIZERS[encoding]
    planes = quantizer.encode(values_ND, calibration if quantizer.calibrated else None)
    wanted = quantizer.decode(planes, calibration if quantizer.calibrated else None)
    beside: dict[str, Any] = {}
    if planes.scale_NG is not None:
        padded = np.pad(planes.scale_NG, ((0, 0), (0, 2)))  # as beside those of a wider site
        beside = {"scales": padded, "center": calibration.center_D, "channel": calibration.channel_D}
    np.testing.assert_array_equal(decode(encoding, planes.values_ND, **beside), wanted)
    np.testing.assert_allclose(wanted, values_ND, atol=0.4)


INT8 = {"scales": np.ones(2), "center": np.zeros(3), "channel": np.ones(3)}


@pytest.mark.parametrize(
    ("encoding", "values", "changes", "message"),
    [
        ("int9", np.zeros((2, 3), np.int8), {}, "no encoding 'int9'; .*did you mean 'int8'"),
        ("int8", np.zeros((2, 3), np.uint8), {}, r"values of int8 are \[N, D\] of int8, not \[2, 3\] of uint8"),
        ("int8", np.zeros(3, np.int8), {}, r"not \[3\] of int8"),
        ("int8", np.zeros((2, 3), np.int8), {"scales": None}, "int8 needs scales"),
        ("int8", np.zeros((2, 4), np.int8), {}, r"values are \[2, 4\], and for center \[3\] of int8 \[2, 3\]"),
        ("int8", np.zeros((2, 3), np.int8), {"scales": np.ones(3)}, r"scales are \[3, 1\], .* \[2, 1\]"),
        ("int8", np.zeros((2, 3), np.int8), {"channel": np.ones(4)}, r"channel are \[4\]"),
        ("int8", np.zeros((2, 3), np.int8), {"center": np.ones((1, 3))}, r"center is \[D\], not \[1, 3\]"),
        ("float16", np.zeros((2, 3), np.float16), {}, "float16 has no scales, center, channel"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(encoding: str, values: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decode(encoding, values, **(INT8 | changes))


@pytest.mark.parametrize("encoding", ["int8", "int4"])
def test_a_kernel_is_within_a_unit_in_the_last_place_of_the_reference(encoding: str) -> None:
    """As `docs/reference/format.md` says, for the kernels of NumPy and torch alike."""
    encoded = encode_rows(encoding, rows=200, width=300, columns=(0,))
    scale_BTG = encoded.buffer.scale_RTG
    assert scale_BTG is not None
    [calibration] = encoded.decoding.calibrations
    assert calibration is not None
    stored_NW = np.asarray(encoded.buffer.values[0])
    d = np.arange(300)
    group = 0 * d
    if encoding == "int4":
        stored_NW = ((stored_NW[:, d // 2] >> (d % 2 * 4)) % 16).astype(np.int64) - 8
        group = d // group_width(300)
    exact_ND = np.asarray(scale_BTG[:, 0], dtype=np.float64)[:, group] * stored_NW
    product_ND = calibration.channel_D.astype(np.float64) * exact_ND
    wanted_ND = calibration.center_D + product_ND
    assert (exact_ND == exact_ND.astype(np.float32)).all()
    allowed_ND = np.spacing(np.maximum(np.abs(product_ND), np.abs(wanted_ND)).astype(np.float32))
    for gather in (NumpyGather(encoded.decoding), TorchGather(encoded.decoding, batch_rows=200)):
        found_ND = np.array(gather(encoded.buffer, np.arange(200)))[:, 0]
        assert (np.abs(found_ND - wanted_ND) <= allowed_ND).all()
        gather.close()
