"""What compressed chunks say of themselves is what is in them."""

import numpy as np
import pytest
from numcodecs import Blosc, Zstd

from actstore.store.format.packed import most_packed_bytes, packed_problem


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 65_792, 100_000, 1 << 20])
@pytest.mark.parametrize("compressor", ["none", "zstd", "blosc"])
def test_the_size_of_the_content_is_found(compressor: str, size: int) -> None:
    codecs = {"zstd": Zstd(level=3), "blosc": Blosc("zstd", 5, Blosc.BITSHUFFLE, typesize=2)}
    for content in (bytes(size), np.random.default_rng(1).bytes(size)):
        stored = bytes(codecs[compressor].encode(content)) if compressor in codecs else content
        assert packed_problem(compressor, stored, size) is None
        assert len(stored) <= most_packed_bytes(size)
        assert f"it says {size:,} bytes, a chunk has {size + 1:,}" == packed_problem(compressor, stored, size + 1)


def test_what_says_nothing_is_refused() -> None:
    assert "says how much is in it" in (packed_problem("zstd", b"\x28\xb5\x2f\xfd\x00\x58\x01", 1) or "")
    assert "says how much is in it" in (packed_problem("blosc", b"\x02\x01", 1) or "")
