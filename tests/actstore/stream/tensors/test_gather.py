"""torch gathers what the reference gathers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actstore.quantize.table import QUANTIZERS
from actstore.stream.gather import NumpyGather
from actstore.stream.tensors import gather as module
from actstore.stream.tensors.gather import TorchGather
from actstore.stream.tensors.memory import RING
from tests.actstore.stream.encoded import Encoded, encode_rows

WIDTHS = [1, 2, 16, 127, 128, 257, 299, 300, 1024]
"""Odd ones, those of one group of int4, of several equal ones, and of a narrower last one (299 and 300)."""


def assert_same(found_BSD: NDArray[Any], encoded: Encoded, take_B: NDArray[np.int64]) -> None:
    """Floats to the bit; scaled encodings but for the last bit, since torch fuses multiplying and adding."""
    expected_BSD = encoded.decoded_NSD[take_B]
    assert found_BSD.dtype == np.float32
    assert found_BSD.shape == expected_BSD.shape
    if encoded.decoding.quantizer.calibrated:
        np.testing.assert_allclose(found_BSD, expected_BSD, rtol=1e-6, atol=2e-5)
    else:
        assert found_BSD.tobytes() == expected_BSD.tobytes()


@pytest.mark.parametrize("encoding", QUANTIZERS)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_gives_what_the_quantizer_decodes(encoding: str, width: int) -> None:
    """Sites in another order than stored, one of them twice as far along."""
    encoded = encode_rows(encoding, rows=300, width=width, columns=(3, 0, 2))
    take_B = np.random.default_rng(1).permutation(300)[:200]
    assert_same(TorchGather(encoded.decoding, batch_rows=200)(encoded.buffer, take_B), encoded, take_B)


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_batches_larger_than_a_block_and_not_a_multiple_of_it(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * 300 * 32)
    encoded = encode_rows(encoding, rows=500, width=300)
    gather = TorchGather(encoded.decoding, batch_rows=111)
    for size in (111, 1, 32, 33, 64):
        take_B = np.random.default_rng(size).integers(0, 500, size)
        assert_same(gather(encoded.buffer, take_B), encoded, take_B)


@pytest.mark.parametrize("encoding", ["int8", "int4"])
@pytest.mark.parametrize("width", [299, 300, 384])
def test_scales_of_wider_sites_beside_them_are_left_alone(encoding: str, width: int) -> None:
    encoded = encode_rows(encoding, rows=20, width=width, pad_groups=3)
    assert_same(TorchGather(encoded.decoding, batch_rows=20)(encoded.buffer, np.arange(20)), encoded, np.arange(20))


@pytest.mark.parametrize("encoding", ["int8", "int4"])
def test_every_level_of_a_row_decodes(encoding: str) -> None:
    """The extremes of the encoding and zero, not only what random rows happen to use."""
    encoded = encode_rows(encoding, rows=2, width=512)
    levels = np.arange(512) % 256
    for values in encoded.buffer.values:
        values[:] = levels[: values.shape[1]].astype(np.uint8).view(values.dtype)
    expected_BSD = NumpyGather(encoded.decoding)(encoded.buffer, np.arange(2))
    found_BSD = TorchGather(encoded.decoding, batch_rows=2)(encoded.buffer, np.arange(2))
    np.testing.assert_allclose(found_BSD, expected_BSD, rtol=1e-6, atol=2e-5)


def test_a_short_batch_uses_a_part_of_the_ring() -> None:
    encoded = encode_rows("int8", rows=400, width=64)
    gather = TorchGather(encoded.decoding, batch_rows=64, reuse=True)
    first = gather(encoded.buffer, np.arange(64))
    for _ in range(RING - 1):
        gather(encoded.buffer, np.arange(64))
    short = gather(encoded.buffer, np.arange(5))
    assert short.shape == (5, 2, 64)
    assert np.shares_memory(first, short)


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_batches_that_are_kept_are_never_written_again(encoding: str) -> None:
    """Also if only a slice of them is kept, or a tensor on it."""
    encoded = encode_rows(encoding, rows=400, width=64)
    gather = TorchGather(encoded.decoding, batch_rows=64)
    takes = [np.arange(64) + turn for turn in range(3 * RING)]
    keep: list[Callable[[NDArray[Any]], Any]] = [
        lambda batch_BSD: batch_BSD,
        lambda batch_BSD: batch_BSD[:, :1],
        lambda batch_BSD: torch.from_numpy(batch_BSD)[:, :1],
    ]
    kept = [keep[turn % 3](gather(encoded.buffer, take_B)) for turn, take_B in enumerate(takes)]
    for batch, take_B in zip(kept, takes, strict=True):
        sites = np.asarray(batch).shape[1]
        np.testing.assert_allclose(np.asarray(batch), encoded.decoded_NSD[take_B, :sites], rtol=1e-6, atol=2e-5)
