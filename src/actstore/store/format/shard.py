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

__all__ = ["Shard", "encode_shard", "index_bytes", "parse_index", "shard_bytes"]

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
    data, checksum = tail[:-_CHECKSUM_BYTES], tail[-_CHECKSUM_BYTES:]
    if len(tail) != index_bytes(spec) or google_crc32c.value(data) != int.from_bytes(checksum, "little"):
        raise CorruptObjectError(f"{name}: the shard index is damaged; rerun 'actstore verify' on this store")
    index = np.frombuffer(data, dtype="<u8").reshape(-1, 2)
    present = int((index[:, 0] != _MISSING).sum())
    chunk_bytes = spec.chunk[0] * spec.row_bytes
    most = np.uint64(chunk_bytes if spec.compressor == "none" else most_packed_bytes(chunk_bytes))
    lengths = index[:present, 1]
    is_whole = (lengths > 0).all() and (lengths <= most).all() and (index[present:] == _MISSING).all()
    if not is_whole or (index[:present, 0] != np.cumsum(lengths) - lengths).any():
        raise CorruptObjectError(f"{name}: the shard index names chunks where none can be; do not use this store")
    return index[:present].astype(np.int64)
