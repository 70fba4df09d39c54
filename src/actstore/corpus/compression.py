"""Compressed bytes -> bytes: gzip, bzip2, xz and Zstandard, recognised by their first bytes."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from actstore.errors import CorpusFormatError

__all__ = ["decompressed"]

_GZIP_FRAMING: Final = 16 + zlib.MAX_WBITS
_MOST_XZ_BYTES: Final = 1 << 29
"""Memory of the decoder; the highest preset takes 65 MB."""


class _Decoder(Protocol):
    """Decodes one stream of a file, as `bz2` and `lzma` do."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """Gives `zlib` the interface of `bz2` and `lzma`."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_FRAMING)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max(max_length, 0))


class _Compression(NamedTuple):
    name: str
    begins: bytes
    decoder: Callable[[], _Decoder] | None
    """None for Zstandard, which pyarrow decodes."""


_COMPRESSIONS: Final = (
    _Compression("gzip", b"\x1f\x8b", _Gzip),
    _Compression("bzip2", b"BZh", bz2.BZ2Decompressor),
    _Compression("xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_XZ_BYTES)),
    _Compression("zstd", b"\x28\xb5\x2f\xfd", None),
)


def decompressed(blocks: Iterator[bytes], name: str, *, block_bytes: int) -> Iterator[bytes]:
    """Yield the content of a file in blocks of limited size; content that is not compressed is yielded as it is.

    All streams of a file are read: members of gzip (bgzip, or concatenated files), streams of bzip2 and xz, frames of
    Zstandard.

    Parameters
    ----------
    blocks
        Content of the file, as stored.
    name
        Name of the file in messages.
    block_bytes
        Most bytes of a decompressed block.

    Raises
    ------
    CorpusFormatError
        If the compressed content is truncated or corrupt.
    """
    first = next(blocks, b"")
    while len(first) < max(len(one.begins) for one in _COMPRESSIONS) and (more := next(blocks, b"")):
        first += more
    found = next((one for one in _COMPRESSIONS if first.startswith(one.begins)), None)
    if found is None:
        if first:
            yield first
        yield from blocks
        return
    content = _zstd_content if found.decoder is None else _streams
    try:
        yield from content(found, first, blocks, block_bytes)
    except EOFError:
        raise CorpusFormatError(
            f"{name}: the {found.name} stream is truncated (it ends before its end marker); fetch the file again"
        ) from None
    except (zlib.error, lzma.LZMAError, OSError) as error:
        raise CorpusFormatError(
            f"{name}: the {found.name} stream is corrupt ({error}); fetch the file again"
        ) from error


def _streams(found: _Compression, first: bytes, rest: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    assert found.decoder is not None  # noqa: S101 - chosen by the caller
    decoder = found.decoder()
    compressed: bytes | None = first
    while compressed is not None:
        if decoder.eof:
            compressed = compressed.lstrip(b"\0")  # padding between and after streams is legal
            if compressed:
                decoder = found.decoder()
        if not compressed and (decoder.eof or decoder.needs_input):
            compressed = next(rest, None)
            continue
        block = decoder.decompress(compressed, block_bytes)
        if block:
            yield block
        compressed = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise EOFError


def _zstd_content(_found: _Compression, first: bytes, rest: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and rarely needed here

    stream: Any = pa.CompressedInputStream(pa.PythonFile(_Rejoined(first, rest), mode="r"), "zstd")
    while True:
        try:
            block: bytes = stream.read(block_bytes)
        except OSError as error:
            raise EOFError if "Truncated" in str(error) else error from error
        if not block:
            return
        yield block


class _Rejoined(io.RawIOBase):
    """Blocks as a file that is read from the start to the end."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._left, self._rest = first, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        if not self._left:
            self._left = next(self._rest, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
