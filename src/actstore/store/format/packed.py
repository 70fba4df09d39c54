"""The size that a compressed chunk states in its header, read before memory is allocated."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["most_packed_bytes", "packed_problem"]

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SIZES: Final = ("", "<H", "<I", "<Q")
"""Format of the content size of a frame, by the two high bits of its descriptor (RFC 8878, section 3.1.1.1)."""
_ZSTD_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_BLOSC_HEADER: Final = struct.Struct("<4B3I")
"""Versions of format and codec, flags, size of an item; bytes of content, of a block, and of the packed chunk."""


def most_packed_bytes(plain: int) -> int:
    """Return an upper bound for the output of zstd or blosc on content that does not compress."""
    return plain + plain // 64 + 4096


def packed_problem(compressor: str, stored: bytes, plain: int) -> str | None:
    """Return why a chunk cannot hold `plain` bytes; None if its header states this size.

    Parameters
    ----------
    compressor
        `none`, `zstd` or `blosc`.
    stored
        The chunk.
    plain
        Bytes that it should decode to.
    """
    claimed = {"none": len, "zstd": _zstd_bytes, "blosc": _blosc_bytes}[compressor](stored)
    if claimed is None:
        return f"not a chunk of {compressor} that says how much is in it"
    return None if claimed == plain else f"it says {claimed:,} bytes, a chunk has {plain:,}"


def _zstd_bytes(stored: bytes) -> int | None:
    if len(stored) < 6 or not stored.startswith(_ZSTD_MAGIC):
        return None
    descriptor = stored[4]
    single_segment = descriptor >> 5 & 1
    start = 5 + (1 - single_segment) + _ZSTD_DICTIONARY_BYTES[descriptor & 3]
    layout = _ZSTD_SIZES[descriptor >> 6]
    if not layout:
        return stored[start] if single_segment and len(stored) > start else None
    if len(stored) < start + struct.calcsize(layout):
        return None
    (size,) = struct.unpack_from(layout, stored, start)
    return int(size) + (256 if layout == "<H" else 0)


def _blosc_bytes(stored: bytes) -> int | None:
    if len(stored) < _BLOSC_HEADER.size:
        return None
    *_, content, block, packed = _BLOSC_HEADER.unpack_from(stored)
    # The decoder trusts this field for the end of the chunk.
    return int(content) if packed == len(stored) and block <= content else None
