"""The reference: rows as their quantizer decodes them."""

import numpy as np
import pytest

from actstore.quantize.table import QUANTIZERS
from actstore.stream.gather import NumpyGather
from tests.actstore.stream.encoded import encode_rows


@pytest.mark.parametrize("encoding", QUANTIZERS)
@pytest.mark.parametrize("width", [16, 257, 400])
def test_rows_come_decoded_in_the_order_in_which_they_were_asked_for(encoding: str, width: int) -> None:
    """Some sites of a store, in another order than stored."""
    encoded = encode_rows(encoding, rows=50, width=width)
    take_B = np.array([5, 0, 49, 5])
    batch_BSD = NumpyGather(encoded.decoding)(encoded.buffer, take_B)
    assert batch_BSD.dtype == np.float32
    assert batch_BSD.tobytes() == encoded.decoded_NSD[take_B].tobytes()


@pytest.mark.parametrize("encoding", ["int8", "int4"])
def test_scales_of_wider_sites_beside_them_are_left_alone(encoding: str) -> None:
    encoded = encode_rows(encoding, rows=20, width=300, pad_groups=3)
    batch_BSD = NumpyGather(encoded.decoding)(encoded.buffer, np.arange(20))
    assert np.isfinite(batch_BSD).all()
    assert batch_BSD.tobytes() == encoded.decoded_NSD.tobytes()


def test_every_batch_has_memory_of_its_own() -> None:
    encoded = encode_rows("float16", rows=50, width=16)
    gather = NumpyGather(encoded.decoding)
    first = gather(encoded.buffer, np.arange(8))
    second = gather(encoded.buffer, np.arange(8))
    assert not np.shares_memory(first, second)
