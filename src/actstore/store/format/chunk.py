"""Compress one chunk, and decode one safely from any bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numcodecs import Blosc, Zstd, blosc
from numpy.typing import NDArray

from actstore.errors import CorruptObjectError
from actstore.store.format.layout import ArraySpec
from actstore.store.format.packed import packed_problem

__all__ = ["chunk_codec", "decode_chunk"]


def chunk_codec(spec: ArraySpec) -> Blosc | Zstd | None:
    """Return the codec that compresses the chunks of an array; None if they are stored uncompressed."""
    return _codec(spec.compressor, np.dtype(spec.dtype).itemsize)


def decode_chunk(spec: ArraySpec, stored: bytes, *, name: str) -> NDArray[Any]:
    """Decode one chunk to [chunk rows, ...]; the stored bytes may be anything.

    Raises
    ------
    CorruptObjectError
        If it does not decode to the bytes of a chunk; `name` is the object in the message.
    """
    chunk_bytes = spec.chunk[0] * spec.row_bytes
    codec = chunk_codec(spec)
    raw: bytes | NDArray[np.uint8] = stored
    problem = packed_problem(spec.compressor, stored, chunk_bytes)
    if problem is None and codec is not None:
        raw = np.empty(chunk_bytes, dtype=np.uint8)
        try:
            codec.decode(stored, raw)
        except (RuntimeError, ValueError) as error:
            problem = str(error)
    if problem is not None:
        raise CorruptObjectError(f"{name}: a chunk does not decode: {problem}; find all damage with 'actstore verify'")
    return np.frombuffer(raw, dtype=spec.dtype).reshape(spec.chunk)


@cache
def _codec(compressor: str, item_bytes: int) -> Blosc | Zstd | None:
    match compressor:
        case "none":
            return None
        case "zstd":
            return Zstd(level=3)
        case "blosc":
            # With several threads it writes blocks in the order in which they finish: the bytes would vary.
            blosc.use_threads = False
            return Blosc(cname="zstd", clevel=5, shuffle=Blosc.BITSHUFFLE, typesize=item_bytes)
        case unknown:
            raise ValueError(f"no compressor {unknown!r}")
