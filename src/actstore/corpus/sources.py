"""URLs and globs -> files -> decompressed blocks of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from actstore.access.filesystems import backend_errors, describe_error
from actstore.access.storage_options import fsspec_options, is_path
from actstore.corpus.compression import decompressed
from actstore.corpus.pipes import SpooledPipe, is_pipe, refuse_earlier_pipe
from actstore.errors import CorpusError, CorpusFormatError

__all__ = ["BLOCK_BYTES", "Source", "expand_sources", "read_blocks"]

BLOCK_BYTES: Final = 1 << 20

_GLOB_CHARACTERS: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file on one file system."""

    name: str
    """Name of the file in messages: the URL as given, or the match of a glob."""
    filesystem: Any
    """An `fsspec` file system, or the copy of a pipe."""
    path: str
    """Path of the file on the file system."""

    @property
    def recorded_name(self) -> str:
        """The name that a recipe records: that of the file, or the digest of what came through a pipe."""
        return self.filesystem.recorded_name if isinstance(self.filesystem, SpooledPipe) else self.name

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
        except FileNotFoundError:
            what = (
                "there is no such file, or its host cannot be reached"
                if "://" in self.name
                else "there is no such file"
            )
            raise CorpusError(f"{self.name}: {what}; check the path") from None
        except backend_errors() as error:
            raise CorpusError(f"{self.name}: cannot be opened: {describe_error(error)}") from None
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
        Local paths or `fsspec` URLs. The order is kept; the matches of one glob are sorted by name. Pipes (`-` is
        standard input) are copied to a temporary file.
    storage_options
        Passed to the file systems.

    Raises
    ------
    CorpusError
        If a glob matches nothing, or a file system is unknown or not installed.
    UsageError
        If a URL holds credentials, or names a pipe of an earlier run.
    """
    sources: list[Source] = []
    for url in urls:
        refuse_earlier_pipe(url)
        if is_pipe(url):
            sources.append(Source(url, SpooledPipe(url), url))
            continue
        filesystem, path = _locate(url, storage_options or {})
        if not _GLOB_CHARACTERS.intersection(url):
            sources.append(Source(url, filesystem, path))
            continue
        try:
            matches = [path] if filesystem.exists(path) else sorted(filesystem.glob(path))
        except backend_errors() as error:
            raise CorpusError(f"{url}: cannot be listed: {describe_error(error)}") from None
        if not matches:
            raise CorpusError(f"{url}: no file matches this pattern")
        is_remote = "://" in url
        names = [filesystem.unstrip_protocol(match) if is_remote else match for match in matches]
        sources += [Source(name, filesystem, match) for name, match in zip(names, matches, strict=True)]
    return tuple(sources)


def _locate(url: str, storage_options: Mapping[str, Any]) -> tuple[Any, str]:
    if is_path(url):  # also if it holds the `::` by which fsspec chains URLs
        return LocalFileSystem(), LocalFileSystem._strip_protocol(url)  # noqa: SLF001 - how fsspec spells a path
    try:
        located: tuple[Any, str] = fsspec.core.url_to_fs(url, **fsspec_options(url, storage_options))
    except ImportError as error:
        raise CorpusError(f"{url}: {error}; for s3:// install 'actstore[s3]'") from None
    except ValueError as error:
        raise CorpusError(f"{url}: {error}; wanted a local path or a URL that fsspec knows") from None
    return located


def read_blocks(source: Source) -> Iterator[bytes]:
    """Yield the content of a file in blocks of at most `BLOCK_BYTES`, decompressed if it is compressed.

    Compression is recognised by the first bytes, never by the name; see `actstore.corpus.compression`.

    Raises
    ------
    CorpusError
        If the file cannot be opened.
    CorpusFormatError
        If reading fails half-way or the compressed content is truncated or corrupt.
    """
    with source.open() as stream:
        yield from decompressed(_read_raw(stream, source.name), source.name, block_bytes=BLOCK_BYTES)


def _read_raw(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except backend_errors() as error:
            raise CorpusFormatError(f"{name}: reading failed: {describe_error(error)}") from None
        if not block:
            return
        yield block
