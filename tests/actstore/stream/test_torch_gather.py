from __future__ import annotations

import numpy as np
import pytest

from actstore.contracts.planes import Calibration
from actstore.contracts.windows import RowBuffer
from actstore.quantize.table import QUANTIZERS
from actstore.stream.gather import NumpyGather
from actstore.stream.torch_gather import RING, TorchGather

ROWS, SITES, WIDTH = 3000, 3, 257


@pytest.fixture(params=sorted(QUANTIZERS))
def encoded(request: pytest.FixtureRequest) -> tuple[str, RowBuffer, Calibration | None]:
    rng = np.random.default_rng(0)
    quantizer = QUANTIZERS[request.param]
    buffer = RowBuffer.allocate(ROWS, SITES, WIDTH, quantizer.stored_dtype, scaled=quantizer.calibrated)
    values_NSD = (rng.standard_normal((ROWS, SITES, WIDTH)) * 20).astype(np.float32)
    calibrations = [
        Calibration(*(rng.random((2, WIDTH)).astype(np.float32) + np.float32(0.5))) if quantizer.calibrated else None
        for _ in range(SITES)
    ]
    for site, calibration in enumerate(calibrations):
        planes = quantizer.encode(values_NSD[:, site], calibration)
        buffer.values_NSD[:, site] = planes.values_ND
        if buffer.scale_NS is not None:
            buffer.scale_NS[:, site] = planes.scale_N
    given = [one for one in calibrations if one is not None]
    if not given:
        return request.param, buffer, None
    stacked = Calibration(np.stack([one.center_D for one in given]), np.stack([one.channel_D for one in given]))
    return request.param, buffer, stacked


@pytest.mark.parametrize("batch_rows", [1, 7, 2500])
def test_it_gives_what_the_reference_gives(encoded: tuple[str, RowBuffer, Calibration | None], batch_rows: int) -> None:
    name, buffer, calibration = encoded
    take_B = np.random.default_rng(1).permutation(ROWS)[:batch_rows]
    batch_BSD = TorchGather(name, calibration, batch_rows=batch_rows)(buffer, take_B)
    expected_BSD = NumpyGather(QUANTIZERS[name], calibration)(buffer, take_B)
    np.testing.assert_allclose(batch_BSD, expected_BSD, rtol=1e-6, atol=1e-5)
    if calibration is None:
        assert batch_BSD.tobytes() == expected_BSD.tobytes()


def test_a_short_last_batch_uses_a_part_of_the_ring(encoded: tuple[str, RowBuffer, Calibration | None]) -> None:
    name, buffer, calibration = encoded
    gather = TorchGather(name, calibration, batch_rows=64)
    assert gather(buffer, np.arange(5)).shape == (5, SITES, WIDTH)


def test_batches_stay_valid_until_the_ring_comes_round(
    encoded: tuple[str, RowBuffer, Calibration | None],
) -> None:
    name, buffer, calibration = encoded
    gather = TorchGather(name, calibration, batch_rows=64)
    batches = [gather(buffer, np.arange(64) + 64 * turn) for turn in range(RING)]
    again = TorchGather(name, calibration, batch_rows=64)
    for turn, batch_BSD in enumerate(batches):
        np.testing.assert_array_equal(batch_BSD, again(buffer, np.arange(64) + 64 * turn))
    assert np.shares_memory(batches[0], gather(buffer, np.arange(64)))
