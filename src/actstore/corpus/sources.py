"""URLs and globs -> files -> decompressed blocks of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import fsspec

from actstore.access.filesystems import backend_errors, describe_error
from actstore.access.storage_options import fsspec_options
from actstore.errors import CorpusError, CorpusFormatError

__all__ = ["BLOCK_BYTES", "Source", "expand_sources", "read_blocks"]

BLOCK_BYTES: Final = 1 << 20

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_FRAMING: Final = 16 + zlib.MAX_WBITS
_GLOB_CHARACTERS: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file on one file system."""

    name: str
    """Name of the file in messages: the URL as given, or the match of a glob."""
    filesystem: Any
    """An `fsspec` file system."""
    path: str
    """Path of the file on the file system."""

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the raw bytes for reading.

        Raises
        ------
        CorpusError
            If the file does not exist or cannot be opened.
        """
        try:
            stream: BinaryIO = self.filesystem.open(self.path, "rb")
        except FileNotFoundError as error:
            what = (
                "there is no such file, or its host cannot be reached"
                if "://" in self.name
                else "there is no such file"
            )
            raise CorpusError(f"{self.name}: {what}; check the path") from error
        except backend_errors() as error:
            raise CorpusError(f"{self.name}: cannot be opened: {describe_error(error)}") from error
        with stream:
            yield stream

    def first_bytes(self, count: int) -> bytes:
        """Return up to `count` bytes from the start of the file, as stored."""
        with self.open() as stream:
            return stream.read(count)


def expand_sources(urls: Sequence[str], *, storage_options: Mapping[str, Any] | None = None) -> tuple[Source, ...]:
    """Return the files named by paths, URLs and globs.

    Parameters
    ----------
    urls
        Local paths or `fsspec` URLs. The order is kept; the matches of one glob are sorted by name.
    storage_options
        Passed to the file systems.

    Raises
    ------
    CorpusError
        If a glob matches nothing, or a file system is unknown or not installed.
    UsageError
        If a URL holds credentials.
    """
    sources: list[Source] = []
    for url in urls:
        filesystem, path = _locate(url, storage_options or {})
        if not _GLOB_CHARACTERS.intersection(url):
            sources.append(Source(url, filesystem, path))
            continue
        try:
            matches = [path] if filesystem.exists(path) else sorted(filesystem.glob(path))
        except backend_errors() as error:
            raise CorpusError(f"{url}: cannot be listed: {describe_error(error)}") from error
        if not matches:
            raise CorpusError(f"{url}: no file matches this pattern")
        is_remote = "://" in url
        names = [filesystem.unstrip_protocol(match) if is_remote else match for match in matches]
        sources += [Source(name, filesystem, match) for name, match in zip(names, matches, strict=True)]
    return tuple(sources)


def _locate(url: str, storage_options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        located: tuple[Any, str] = fsspec.core.url_to_fs(url, **fsspec_options(url, storage_options))
    except ImportError as error:
        raise CorpusError(f"{url}: {error}; for s3:// install 'actstore[s3]'") from error
    except ValueError as error:
        raise CorpusError(f"{url}: {error}; wanted a local path or a URL that fsspec knows") from error
    return located


def read_blocks(source: Source) -> Iterator[bytes]:
    """Yield the content of a file in blocks of at most `BLOCK_BYTES`, decompressed if it is gzip.

    Gzip is recognised by its first two bytes, never by the name; files of several gzip members (bgzip, or
    concatenated files) are read to the end.

    Raises
    ------
    CorpusError
        If the file cannot be opened.
    CorpusFormatError
        If reading fails half-way or the gzip stream is truncated or corrupt.
    """
    with source.open() as stream:
        raw_blocks = _read_raw(stream, source.name)
        first = next(raw_blocks, b"")
        if first.startswith(_GZIP_MAGIC):
            yield from _decompress(first, raw_blocks, source.name)
        elif first:
            yield first
            yield from raw_blocks


def _read_raw(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except backend_errors() as error:
            raise CorpusFormatError(f"{name}: reading failed: {describe_error(error)}") from error
        if not block:
            return
        yield block


def _decompress(first: bytes, rest: Iterator[bytes], name: str) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_FRAMING)
    compressed: bytes | None = first
    while compressed is not None:
        if member.eof:
            compressed = compressed.lstrip(b"\0")  # padding between and after members is legal
            if compressed:
                member = zlib.decompressobj(_GZIP_FRAMING)
        if not compressed:
            compressed = next(rest, None)
            continue
        try:
            block = member.decompress(compressed, BLOCK_BYTES)
        except zlib.error as error:
            raise CorpusFormatError(f"{name}: the gzip stream is corrupt ({error}); fetch the file again") from error
        if block:
            yield block
        compressed = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise CorpusFormatError(
            f"{name}: the gzip stream is truncated (it ends before its end marker); fetch the file again"
        )
