"""What we write is what plain zarr-python reads."""

import itertools
from typing import Any

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import blosc
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from actstore.errors import CorruptObjectError
from actstore.store.format.chunk import decode_chunk
from actstore.store.format.layout import ArraySpec
from actstore.store.format.metadata import zarr_documents
from actstore.store.format.shard import encode_shard, index_bytes, parse_index

COMPRESSORS = ("none", "zstd", "blosc")


def spec_of(
    dtype: str,
    *,
    width: tuple[int, ...] = (),
    shard: int = 12,
    chunk: int = 4,
    rows: int = 30,
    compressor: str = "none",
) -> ArraySpec:
    fill = -1 if dtype == "<i8" else 0
    return ArraySpec(
        "x", dtype, (rows, *width), (shard, *width), (chunk, *width), fill, sharded=True, compressor=compressor
    )


def values_of(spec: ArraySpec) -> NDArray[Any]:
    """Return values that compress a little, as activations do."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=spec.shape) * 20).astype(spec.dtype)


def read_with_zarr(spec: ArraySpec, shards: dict[str, bytes]) -> NDArray[Any]:
    """Open documents and shards with zarr-python, which knows nothing of us."""
    store = MemoryStore()
    for path, data in (zarr_documents([spec], {}) | shards).items():
        sync(store.set(path, default_buffer_prototype().buffer.from_bytes(data)))
    array = zarr.open_group(store, mode="r")["x"]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize(("shard", "chunk"), [(12, 4), (12, 12), (12, 1), (64, 8)])
@pytest.mark.parametrize(
    ("dtype", "width"), [("|i1", (5,)), ("<f2", (3,)), ("<u2", (4,)), ("<i8", ()), ("<i4", ()), ("<i2", ())]
)
def test_zarr_reads_what_we_write(dtype: str, width: tuple[int, ...], shard: int, chunk: int, compressor: str) -> None:
    spec = spec_of(dtype, width=width, shard=shard, chunk=chunk, compressor=compressor)
    values = values_of(spec)
    shards = {
        spec.object_path(task): encode_shard(spec, values[start : start + shard]).data
        for task, start in enumerate(range(0, len(values), shard))
    }
    assert read_with_zarr(spec, shards).tobytes() == values.tobytes()


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_rows_that_a_short_task_does_not_fill_read_as_the_fill_value(compressor: str) -> None:
    spec = spec_of("<i8", rows=30, compressor=compressor)
    values = values_of(spec)
    read = read_with_zarr(
        spec,
        {
            spec.object_path(0): encode_shard(spec, values[:5]).data,
            spec.object_path(2): encode_shard(spec, values[24:]).data,
        },
    )
    assert read.tolist() == [*values[:5].tolist(), *([-1] * 19), *values[24:].tolist()]


@given(
    rows=st.integers(1, 24),
    chunk=st.integers(1, 6),
    chunks=st.integers(1, 4),
    compressor=st.sampled_from(COMPRESSORS),
)
def test_every_chunk_comes_back_from_its_bytes(rows: int, chunk: int, chunks: int, compressor: str) -> None:
    rows = min(rows, chunk * chunks)
    spec = spec_of("<f2", width=(3,), shard=chunk * chunks, chunk=chunk, rows=rows, compressor=compressor)
    values = values_of(spec)
    shard = encode_shard(spec, values)
    index = parse_index(spec, shard.data[-index_bytes(spec) :], name="x")
    assert len(index) == len(shard.crc32c) == -(-rows // chunk)
    stored = [shard.data[offset : offset + size] for offset, size in index]
    assert tuple(google_crc32c.value(part) for part in stored) == shard.crc32c
    decoded = np.concatenate([decode_chunk(spec, part, name="x") for part in stored])
    assert decoded[:rows].tobytes() == values.tobytes()
    assert not decoded[rows:].any()


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_chunks_lie_end_to_end_and_the_index_follows(compressor: str) -> None:
    spec = spec_of("|i1", width=(7,), compressor=compressor)
    data = encode_shard(spec, values_of(spec)[:12]).data
    index = parse_index(spec, data[-index_bytes(spec) :], name="x")
    assert index[0, 0] == 0
    assert all(here[0] + here[1] == after[0] for here, after in itertools.pairwise(index))
    assert index[-1].sum() + index_bytes(spec) == len(data)


def test_an_uncompressed_shard_begins_with_its_rows_as_one_flat_array() -> None:
    spec = spec_of("<f2", width=(7,))
    values = values_of(spec)[:12]
    assert encode_shard(spec, values).data.startswith(values.tobytes())


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_the_same_rows_give_the_same_bytes(compressor: str) -> None:
    spec = spec_of("|i1", width=(64,), compressor=compressor)
    values = values_of(spec)[:12]
    assert encode_shard(spec, values) == encode_shard(spec, np.asfortranarray(values))


def test_blosc_gives_the_same_bytes_whatever_threads_it_may_use() -> None:
    """With several threads it would lay the blocks of a chunk in the order in which they get done."""
    spec = spec_of("<f2", width=(4096,), shard=256, chunk=256, rows=256, compressor="blosc")
    values = values_of(spec)
    blosc.set_nthreads(8)
    try:
        assert len({encode_shard(spec, values).data for _ in range(20)}) == 1
    finally:
        blosc.set_nthreads(1)


def test_a_flipped_bit_anywhere_in_the_index_is_found() -> None:
    spec = spec_of("<i8")
    tail = encode_shard(spec, np.arange(5)).data[-index_bytes(spec) :]
    for place in range(len(tail)):
        damaged = bytearray(tail)
        damaged[place] ^= 1
        with pytest.raises(CorruptObjectError, match=r"sites/embed.*task 3.*index"):
            parse_index(spec, bytes(damaged), name="sites/embed (task 3)")


@pytest.mark.parametrize("length", [0, 3, 4, 51])
def test_an_index_cut_short_is_found(length: int) -> None:
    spec = spec_of("<i8")
    tail = encode_shard(spec, np.arange(5)).data[-index_bytes(spec) :]
    assert len(tail) == 52
    with pytest.raises(CorruptObjectError, match="index is damaged"):
        parse_index(spec, tail[-length:] if length else b"", name="x")


def test_an_unknown_compressor_is_refused() -> None:
    with pytest.raises(ValueError, match="no compressor 'lzma'"):
        encode_shard(spec_of("<i8", compressor="lzma"), np.arange(5))
