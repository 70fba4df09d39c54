"""Compares an object with its commit: size, SHA-256, and the checksum of every chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple

import google_crc32c

from actstore.access.filesystems import backend_errors, describe_error
from actstore.access.objects import ObjectStore
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError
from actstore.store.care.contents import ObjectContent
from actstore.store.format.layout import ArraySpec
from actstore.store.format.shard import index_bytes, index_problem, parse_index
from actstore.store.write.commit import StoredObject

__all__ = ["Difference", "compare_object", "compare_sha256"]

_BLOCK_BYTES: Final = 1 << 22


class Difference(NamedTuple):
    """Description of the fault."""

    problem: str
    in_commit: bool = False
    """Whether the object is right and its commit is wrong."""


def compare_object(
    objects: ObjectStore, spec: ArraySpec, task: int, stored: StoredObject, *, content: ObjectContent | None = None
) -> Difference | None:
    """Read an object of a task and compare it with its commit; None if they agree.

    If it is longer than its commit says, the rest is not read.

    Parameters
    ----------
    objects
        The store.
    spec, task
        Which object.
    stored
        Size and digests in the commit.
    content
        Looks at the chunks; what it finds is a difference if the digests agree.
    """
    path = spec.object_path(task)
    end = index_bytes(spec) if spec.sharded else spec.row_bytes
    read = _read(objects, path, lambda file: _pieces(file, spec, stored), content, end_bytes=end)
    if isinstance(read, Difference):
        return read
    if read.size > stored.size:
        return Difference(f"has more than {stored.size:,} bytes, the commit says {stored.size:,}")
    if read.size != stored.size:
        return Difference(f"{read.size:,} bytes, the commit says {stored.size:,}")
    if read.sha256 != stored.sha256:
        return Difference(f"sha256 {read.sha256[:12]}..., should be {stored.sha256[:12]}...")
    if read.crc32c != stored.chunk_crc32c:
        return Difference(f"gives other checksums of the chunks of {path} than they have", in_commit=True)
    problem = _inner_problem(spec, read, content)
    return None if problem is None else Difference(problem)


def _inner_problem(spec: ArraySpec, read: _Read, content: ObjectContent | None) -> str | None:
    """Return what is wrong with index or content of an object that has the digest of its commit."""
    if spec.sharded:
        problem = index_problem(spec, read.end, chunks=len(read.crc32c), size=read.size)
        if problem is not None:
            return problem
    elif content is not None:
        content.add(0, read.end)
    return None if content is None else content.problem


def compare_sha256(objects: ObjectStore, path: str, sha256: str, *, most_bytes: int) -> Difference | None:
    """Read any object and compare its digest; None if it is the same.

    Parameters
    ----------
    objects, path
        Which object.
    sha256
        Expected digest.
    most_bytes
        Largest possible size; no more is read.
    """
    read = _read(objects, path, lambda file: _blocks(file, most_bytes + 1))
    if isinstance(read, Difference):
        return read
    if read.size > most_bytes:
        return Difference(f"has more than {most_bytes:,} bytes, as no such object has")
    if read.sha256 != sha256:
        return Difference(f"sha256 {read.sha256[:12]}..., should be {sha256[:12]}...")
    return None


class _Read(NamedTuple):
    size: int
    sha256: str
    crc32c: tuple[int, ...]
    end: bytes
    """The last bytes after the chunks."""


_Pieces = Iterator[tuple[bytes, bool]]
"""The bytes of an object, and whether they are a chunk with its own checksum."""


def _read(
    objects: ObjectStore,
    path: str,
    pieces: Callable[[BinaryIO], _Pieces],
    content: ObjectContent | None = None,
    *,
    end_bytes: int = 0,
) -> _Read | Difference:
    digest, size, end, crc32c = hashlib.sha256(), 0, b"", []
    try:
        with objects.open(path) as file:
            for piece, is_chunk in pieces(file):
                digest.update(piece)
                size += len(piece)
                if is_chunk:
                    crc32c.append(google_crc32c.value(piece))
                    if content is not None:
                        content.add(len(crc32c) - 1, piece)
                elif end_bytes:
                    end = (end + piece)[-end_bytes:]
    except MissingObjectError:
        return Difference("missing")
    except StoreError as error:
        return Difference(f"cannot be read: {error}")
    except backend_errors() as error:
        return Difference(f"cannot be read: {describe_error(error)}")
    return _Read(size, digest.hexdigest(), tuple(crc32c), end)


def _blocks(file: BinaryIO, most_bytes: int) -> _Pieces:
    while block := file.read(min(_BLOCK_BYTES, most_bytes)):
        most_bytes -= len(block)
        yield block, False


def _pieces(file: BinaryIO, spec: ArraySpec, stored: StoredObject) -> _Pieces:
    left = stored.size
    for extent in _chunk_bytes(file, spec, stored):
        piece = file.read(min(extent, left))
        left -= len(piece)
        yield piece, True
    yield from _blocks(file, left + 1)


def _chunk_bytes(file: BinaryIO, spec: ArraySpec, stored: StoredObject) -> list[int]:
    """Return the sizes of the chunks, which follow each other from the beginning."""
    if not spec.sharded:
        return []
    if spec.compressor == "none":
        extent = spec.chunk[0] * spec.row_bytes
        return [extent] * min((stored.size - index_bytes(spec)) // extent, spec.chunks_per_shard)
    try:
        file.seek(max(stored.size - index_bytes(spec), 0))
        index = parse_index(spec, file.read(index_bytes(spec)), name=spec.path)
    except CorruptObjectError:
        return []  # the digest of the whole object shows the fault
    finally:
        file.seek(0)
    return [int(size) for _, size in index]
