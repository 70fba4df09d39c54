"""Encoding on the device of the model is that of the host: planes to the bit, measures to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actstore.contracts.planes import Calibration
from actstore.errors import ModelError, NumericsError
from actstore.quantize import torch_encoding
from actstore.quantize.encode import encode_rows
from actstore.quantize.table import QUANTIZERS

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]
WIDTHS = [1, 7, 128, 320, 1024]


def rows_and_calibration(width: int, *, rows: int = 700) -> tuple[NDArray[np.float32], Calibration]:
    """Rows with outlier channels, a channel that never varies, a row in the centre, and one that is far off."""
    generator = np.random.default_rng([width, rows])
    channel_D = np.float32(10.0) ** generator.uniform(-2, 2, width).astype(np.float32)
    center_D = (generator.normal(size=width) * channel_D * 10).astype(np.float32)
    values_ND = (center_D + generator.normal(size=(rows, width)) * channel_D).astype(np.float32)
    values_ND[:, 0] = center_D[0]
    values_ND[1] = center_D
    values_ND[2] = center_D + 100 * channel_D
    values_ND[3] = center_D - 1e-6 * channel_D
    return values_ND, Calibration(center_D, channel_D)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_planes_are_those_of_the_host(encoding: str, width: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_encoding, "_BLOCK_VALUES", 256 * width)  # the last of three blocks is shorter
    values_ND, calibration = rows_and_calibration(width)
    wanted = encode_rows(values_ND, QUANTIZERS[encoding], calibration)
    found = encode_rows(torch.from_numpy(values_ND).to(device), QUANTIZERS[encoding], calibration)
    assert found.planes.values_ND.dtype == wanted.planes.values_ND.dtype
    np.testing.assert_array_equal(found.planes.values_ND, wanted.planes.values_ND)
    assert (found.planes.scale_NG is None) == (wanted.planes.scale_NG is None)
    if found.planes.scale_NG is not None and wanted.planes.scale_NG is not None:
        np.testing.assert_array_equal(found.planes.scale_NG, wanted.planes.scale_NG)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_measures_are_those_of_the_host(encoding: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_encoding, "_BLOCK_VALUES", 256 * 320)
    values_ND, calibration = rows_and_calibration(320)
    wanted = encode_rows(values_ND, QUANTIZERS[encoding], calibration).measures
    found = encode_rows(torch.from_numpy(values_ND).to(device), QUANTIZERS[encoding], calibration).measures
    assert found.moments.count == wanted.moments.count
    assert found.norm_sum == pytest.approx(wanted.norm_sum, rel=1e-6)
    np.testing.assert_array_equal(found.max_abs_D, wanted.max_abs_D)
    for one, other in (
        (found.moments.mean_D, wanted.moments.mean_D),
        (found.moments.m2_D, wanted.moments.m2_D),
        (found.noise_D, wanted.noise_D),
    ):
        np.testing.assert_allclose(one, other, rtol=3e-5, atol=1e-9)


@pytest.mark.parametrize("encoding", QUANTIZERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_reported(bad: float, encoding: str) -> None:
    values_ND, calibration = rows_and_calibration(16)
    values_ND[[30, 31], 5] = bad
    found = encode_rows(torch.from_numpy(values_ND), QUANTIZERS[encoding], calibration).bad
    assert found is not None
    assert (found.row, found.rows) == (30, 2)
    np.testing.assert_array_equal(found.values_D, values_ND[30])


def test_values_beyond_the_encoding_are_counted_by_row() -> None:
    values_ND = np.zeros((5, 4), dtype=np.float32)
    values_ND[3, :2] = 70_000
    for values in (values_ND, torch.from_numpy(values_ND)):
        beyond_N = encode_rows(values, QUANTIZERS["float16"], None).beyond_N
        assert beyond_N is not None
        assert beyond_N.tolist() == [0, 0, 0, 2, 0]
        assert encode_rows(values, QUANTIZERS["int8"], Calibration(values_ND[0], np.ones(4, "f4"))).beyond_N is None


@pytest.mark.parametrize("encoding", ["int8", "int4"])
def test_a_row_beyond_every_scale_is_refused(encoding: str) -> None:
    values_ND, calibration = rows_and_calibration(16)
    values_ND[9] = calibration.center_D + np.float32(3e7) * calibration.channel_D
    for values in (values_ND, torch.from_numpy(values_ND)):
        with pytest.raises(NumericsError, match=f"{encoding} scale of row 9 is inf"):
            encode_rows(values, QUANTIZERS[encoding], calibration)


def test_no_rows_at_all() -> None:
    found = encode_rows(torch.empty((0, 8)), QUANTIZERS["bfloat16"], None)
    assert found.planes.values_ND.shape == (0, 8)
    assert found.measures.moments.count == 0


def test_every_encoding_can_be_done_there() -> None:
    tables = (torch_encoding._ENCODINGS, torch_encoding._STORED)
    assert all(table.keys() == QUANTIZERS.keys() for table in tables)
    assert torch_encoding._MOST_DEVIATIONS.keys() == {name for name, each in QUANTIZERS.items() if each.calibrated}


def test_squares_beyond_float32_are_added_up_all_the_same() -> None:
    values_ND = np.float32(1e25) * np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    wanted = encode_rows(values_ND, QUANTIZERS["bfloat16"], None).measures
    found = encode_rows(torch.from_numpy(values_ND), QUANTIZERS["bfloat16"], None).measures
    assert found.norm_sum == pytest.approx(wanted.norm_sum, rel=1e-6)
    np.testing.assert_allclose(found.moments.m2_D, wanted.moments.m2_D, rtol=1e-5)
    np.testing.assert_allclose(found.noise_D, wanted.noise_D, rtol=1e-5)


def test_a_device_without_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch_encoding, "_measure", full)
    with pytest.raises(ModelError, match=r"encoding rows on cpu takes .* store\.task_rows"):
        encode_rows(torch.zeros((4, 8)), QUANTIZERS["bfloat16"], None)
