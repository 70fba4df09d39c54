"""Shards of strangers: what decompresses to more than a chunk, and an index that points elsewhere."""

import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Blosc, Zstd

from actstore.errors import CorruptObjectError
from actstore.store.format.chunk import decode_chunk
from actstore.store.format.layout import ArraySpec
from actstore.store.format.packed import most_packed_bytes, packed_problem
from actstore.store.format.shard import encode_shard, index_bytes, parse_index
from tests.hostile.bounded import run_bounded
from tests.hostile.mutations import MORE, damaged_bytes

MISSING = (1 << 64) - 1


def spec_of(compressor: str) -> ArraySpec:
    return ArraySpec("sites/a/values", "<i2", (64, 8), (64, 8), (16, 8), 0, sharded=True, compressor=compressor)


CHUNK_BYTES = 16 * 8 * 2


def zstd_frame(claimed: int, body: bytes) -> bytes:
    """A frame of one segment that says how much is in it in eight bytes."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", claimed) + body


def endless_frame(blocks: int) -> bytes:
    """A frame that does not say how much is in it: blocks of 128 KiB of one letter, four bytes each."""
    block = ((131072 << 3) | (1 << 1)).to_bytes(3, "little") + b"A"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * blocks + (1).to_bytes(3, "little")


BOMBS = {
    "a gigabyte in 32 KB": Zstd(3).encode(bytes(1 << 26)),
    "says an exabyte": zstd_frame(1 << 60, b"\x01\x00\x00"),
    "says four gigabytes": zstd_frame(1 << 32, b"\x01\x00\x00"),
    "does not say": endless_frame(8000),
    "says a chunk and holds more": zstd_frame(CHUNK_BYTES, endless_frame(8000)[6:]),
    "says a chunk and holds less": zstd_frame(CHUNK_BYTES, b"\x01\x00\x00"),
    "two frames": Zstd(3).encode(bytes(CHUNK_BYTES)) * 2,
    "nothing": b"",
    "a magic number": b"\x28\xb5\x2f\xfd",
    "too short for its size": b"\x28\xb5\x2f\xfd\xe0\x00",
    "skippable": b"\x50\x2a\x4d\x18\xff\xff\xff\xff",
    "not zstd": b"not zstd at all",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_chunk_decodes_to_a_chunk_or_is_refused(name: str) -> None:
    with pytest.raises(CorruptObjectError, match=r"^store: a chunk does not decode: .*actstore verify"):
        decode_chunk(spec_of("zstd"), BOMBS[name], name="store")


@pytest.mark.parametrize("name", ["says an exabyte", "does not say", "says a chunk and holds more"])
def test_a_bomb_takes_no_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "chunk"
    path.write_bytes(BOMBS[name])
    outcome = run_bounded(
        "from tests.hostile.test_compression import decode_chunk, spec_of\nfrom numcodecs import Zstd",
        "decode_chunk(spec_of('zstd'), argument.read_bytes(), name='store')",
        path,
    )
    assert (outcome.error, outcome.ours) == ("CorruptObjectError", True)
    assert outcome.grown_bytes < 32 << 20


BLOSC = Blosc("zstd", 5, Blosc.BITSHUFFLE)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x02\x01",
        bytes(16),
        BLOSC.encode(np.arange(CHUNK_BYTES // 2, dtype="<i2").tobytes())[:-3],
        BLOSC.encode(bytes(CHUNK_BYTES * 2)),
        BLOSC.encode(np.zeros(1 << 24, dtype="u1").tobytes()),
        struct.pack("<4B3I", 2, 1, 0x94, 2, CHUNK_BYTES, CHUNK_BYTES, 1 << 31),
        struct.pack("<4B3I", 2, 1, 0x94, 2, CHUNK_BYTES, 1 << 31, 16),
        struct.pack("<4B3I", 2, 1, 0x94, 2, 1 << 31, 1 << 20, 16),
    ],
    ids=range(9),
)
def test_a_blosc_header_that_lies_is_refused(stored: bytes) -> None:
    with pytest.raises(CorruptObjectError, match=r"^store: a chunk does not decode"):
        decode_chunk(spec_of("blosc"), stored, name="store")


@given(stored=st.data(), compressor=st.sampled_from(["zstd", "blosc"]), seed=st.integers(0, 9))
@settings(max_examples=150 * MORE)
def test_any_bytes_decode_to_a_chunk_or_are_refused(stored: st.DataObject, compressor: str, seed: int) -> None:
    spec = spec_of(compressor)
    values = np.random.default_rng(seed).integers(-3, 3, (16, 8)).astype("<i2")
    sound = encode_shard(spec, values).data[: -index_bytes(spec)]
    assert (decode_chunk(spec, sound, name="x") == values).all()
    try:
        decoded = decode_chunk(spec, stored.draw(damaged_bytes(sound)), name="x")
    except CorruptObjectError:
        return
    assert decoded.shape == (16, 8)


@given(size=st.integers(1, 1 << 18), seed=st.integers(0, 5), compressor=st.sampled_from(["zstd", "blosc"]))
@settings(max_examples=40 * MORE)
def test_what_does_not_compress_stays_below_the_bound(size: int, seed: int, compressor: str) -> None:
    plain = np.random.default_rng(seed).bytes(size)
    packed = (Zstd(3) if compressor == "zstd" else BLOSC).encode(plain)
    assert len(packed) <= most_packed_bytes(size)
    assert packed_problem(compressor, bytes(packed), size) is None


def tail_of(*entries: tuple[int, int], chunks: int = 4) -> bytes:
    rows = [*entries, *[(MISSING, MISSING)] * (chunks - len(entries))]
    data = np.array(rows, dtype="<u8").tobytes()
    checksum: int = google_crc32c.value(data)
    return data + checksum.to_bytes(4, "little")


@pytest.mark.parametrize(
    "entries",
    [
        [(0, 1 << 62)],
        [(0, MISSING - 1)],
        [(1 << 63, 10)],
        [(10, 10)],
        [(0, 0)],
        [(0, 10), (5, 10)],
        [(0, 10), (30, 10)],
        [(10, 10), (0, 10)],
        [(MISSING, MISSING), (0, 10)],
        [(0, 10), (MISSING, 10)],
        [(0, 10), (10, MISSING)],
        [(0, most_packed_bytes(CHUNK_BYTES) + 1)],
    ],
    ids=range(12),
)
def test_an_index_names_chunks_where_chunks_are(entries: list[tuple[int, int]]) -> None:
    with pytest.raises(CorruptObjectError, match=r"^store: the shard index names chunks where none can be"):
        parse_index(spec_of("zstd"), tail_of(*entries), name="store")


@given(entries=st.lists(st.tuples(st.integers(0, MISSING), st.integers(0, MISSING)), max_size=4))
def test_whatever_an_index_names_lies_within_a_shard(entries: list[tuple[int, int]]) -> None:
    try:
        index = parse_index(spec_of("zstd"), tail_of(*entries), name="store")
    except CorruptObjectError:
        return
    assert (index >= 0).all()
    assert index.sum() <= 4 * 4 * most_packed_bytes(CHUNK_BYTES)
