"""One shard object: encoded chunks in order, then the index of the Zarr v3 sharding codec.

The index holds, for every chunk, its offset and length as little-endian uint64 (all ones if there is no chunk),
followed by the CRC-32C of those bytes (Zarr core specification, sharding codec 1.0, index at the end).
Chunks are written in row order without gaps, so an uncompressed shard begins with its rows as one flat array.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from actstore.errors import CorruptObjectError
from actstore.store.format.chunk import chunk_codec
from actstore.store.format.layout import ArraySpec
from actstore.store.format.packed import most_packed_bytes

__all__ = ["Shard", "encode_shard", "index_bytes", "index_problem", "parse_index", "shard_bytes"]

_MISSING: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_CHECKSUM_BYTES: Final = 4


class Shard(NamedTuple):
    """An encoded shard and the checksum of each chunk as stored."""

    data: bytes
    crc32c: tuple[int, ...]
    """CRC-32C of the stored bytes of each present chunk; present chunks come first."""


def encode_shard(spec: ArraySpec, values_N: NDArray[Any]) -> Shard:
    """Encode the rows of one task.

    Parameters
    ----------
    spec
        A sharded array.
    values_N
        [N, ...] with N at most one shard; the rest of the last chunk is filled; later chunks are absent.
    """
    chunk_rows = spec.chunk[0]
    chunks = -(-len(values_N) // chunk_rows)
    padded = np.full((chunks * chunk_rows, *spec.shape[1:]), spec.fill, dtype=spec.dtype)
    padded[: len(values_N)] = values_N
    codec = chunk_codec(spec)
    parts: list[bytes] = []
    for start in range(0, len(padded), chunk_rows):
        raw = padded[start : start + chunk_rows].tobytes()
        parts.append(raw if codec is None else bytes(codec.encode(raw)))
    index = np.full((spec.chunks_per_shard, 2), _MISSING, dtype="<u8")
    lengths = np.array([len(part) for part in parts], dtype="<u8")
    index[:chunks, 0] = np.cumsum(lengths) - lengths
    index[:chunks, 1] = lengths
    index_bytes = index.tobytes()
    checksum = google_crc32c.value(index_bytes).to_bytes(_CHECKSUM_BYTES, "little")
    return Shard(b"".join((*parts, index_bytes, checksum)), tuple(google_crc32c.value(part) for part in parts))


def index_bytes(spec: ArraySpec) -> int:
    """Return the length of the index at the end of a shard."""
    return spec.chunks_per_shard * 16 + _CHECKSUM_BYTES


def shard_bytes(spec: ArraySpec, chunks: int) -> tuple[int, int]:
    """Return the least and the greatest size of a shard of this number of chunks."""
    plain = spec.chunk[0] * spec.row_bytes
    least, most = (plain, plain) if spec.compressor == "none" else (1, most_packed_bytes(plain))
    return chunks * least + index_bytes(spec), chunks * most + index_bytes(spec)


def parse_index(spec: ArraySpec, tail: bytes, *, name: str) -> NDArray[np.int64]:
    """Return offset and length of the chunks present, int64 [chunks, 2], from the last bytes of a shard.

    Raises
    ------
    CorruptObjectError
        If the index is too short, its checksum is wrong, or chunks do not follow each other from the beginning, each
        as long as a chunk can be; names the object by `name`.
    """
    if not _is_whole(spec, tail):
        raise CorruptObjectError(f"{name}: the shard index is damaged; rerun 'actstore verify' on this store")
    index = _present_chunks(spec, tail)
    if index is None:
        raise CorruptObjectError(f"{name}: the shard index names chunks where none can be; do not use this store")
    return index


def index_problem(spec: ArraySpec, tail: bytes, *, chunks: int, size: int) -> str | None:
    """Return what is wrong with the index of a shard, None if it names its chunks and nothing else.

    Parameters
    ----------
    spec, tail
        The array, and the last bytes of the shard.
    chunks
        Number of chunks that the rows of the shard need.
    size
        Size of the shard.
    """
    if not _is_whole(spec, tail):
        return "its shard index is damaged"
    index = _present_chunks(spec, tail)
    if index is None:
        return "its shard index names chunks where none can be"
    if len(index) != chunks:
        return f"its shard index names {len(index)} chunks, its rows need {chunks}"
    if (end := int(index[:, 1].sum()) + index_bytes(spec)) != size:
        return f"its chunks and its index take {end:,} bytes, it has {size:,}"
    return None


def _is_whole(spec: ArraySpec, tail: bytes) -> bool:
    data, checksum = tail[:-_CHECKSUM_BYTES], tail[-_CHECKSUM_BYTES:]
    return len(tail) == index_bytes(spec) and google_crc32c.value(data) == int.from_bytes(checksum, "little")


def _present_chunks(spec: ArraySpec, tail: bytes) -> NDArray[np.int64] | None:
    """Return the chunks of a whole index; None if they do not follow each other or have impossible sizes."""
    index = np.frombuffer(tail[:-_CHECKSUM_BYTES], dtype="<u8").reshape(-1, 2)
    present = int((index[:, 0] != _MISSING).sum())
    chunk_bytes = spec.chunk[0] * spec.row_bytes
    least, most = (chunk_bytes, chunk_bytes) if spec.compressor == "none" else (1, most_packed_bytes(chunk_bytes))
    lengths = index[:present, 1]
    fits = (lengths >= np.uint64(least)).all() and (lengths <= np.uint64(most)).all()
    if not (fits and (index[present:] == _MISSING).all()):
        return None
    if (index[:present, 0] != np.cumsum(lengths) - lengths).any():
        return None
    return index[:present].astype(np.int64)
