"""Objects of a remote store, with a copy of the read parts on local disk.

An entry is named by the digest of its task's commit, which the manifest names. So an entry cannot belong to other
bytes, wherever the store is, and entries never need to be invalidated. An entry is compared with the checksums of that
commit before it is kept and each time before it is used. A damaged entry is fetched again and never delivered.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from itertools import accumulate, groupby
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from actstore.access.cache_folder import CacheFolder
from actstore.access.objects import ObjectStore
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import MOST_DOCUMENT_BYTES, read_document
from actstore.store.format.layout import ArraySpec
from actstore.store.format.shard import index_bytes, parse_index
from actstore.store.read.checks import ChunkChecks
from actstore.store.read.inventory import Inventory
from actstore.store.read.manifest import Manifest
from actstore.store.write.commit import commit_task

__all__ = ["CacheCounts", "CachedObjects"]

BLOCK_BYTES: Final = 1 << 18
"""Least bytes of an object fetched and kept at once: a chunk of values, or many chunks of the small arrays."""
_INDICES_IN_MEMORY: Final = 4096


class CacheCounts(NamedTuple):
    """Counts of reads, in blocks."""

    found: int
    """Read from the cache."""
    fetched: int
    """Read from the store."""
    damaged: int
    """Blocks read from the store whose cached copy was damaged."""


class _Shard(NamedTuple):
    """An object with rows of a task."""

    path: str
    place: int
    """Index of its array among those that are checked."""
    task: int
    spec: ArraySpec


class _Block(NamedTuple):
    """Consecutive chunks of an object."""

    name: str
    start: int
    stop: int
    extents: tuple[int, ...]
    """Bytes of each chunk."""
    crc32c: tuple[int, ...]


class CachedObjects:
    """An `ObjectStore` that keeps chunks and commits it has read. Safe to share by threads.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    folder
        Folder of the cache; other processes and stores may use the same.
    most_bytes
        Limit for the bytes in the folder.

    Raises
    ------
    UsageError
        If that is not said, or less than one block.
    StoreError
        If the folder cannot be used.
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest, folder: Path, most_bytes: int | None) -> None:
        self._objects = objects
        self._manifest = manifest
        self._inventory = Inventory.of(manifest.frozen)
        arrays = manifest.frozen.row_arrays
        self._place_of = {spec.path: place for place, spec in enumerate(arrays)}
        self._arrays = arrays
        # A chunk that does not compress becomes a little larger.
        least = max(max(BLOCK_BYTES, spec.chunk[0] * spec.row_bytes) for spec in arrays) * 9 // 8
        if most_bytes is None or most_bytes < least:
            raise UsageError(
                f"cache_bytes = {most_bytes} cannot hold a block of {objects.uri}; give at least {least} "
                "(--cache-bytes), better all bytes that are read repeatedly"
            )
        self._most_bytes = most_bytes
        self._cache = CacheFolder(folder, most_bytes)
        self._checks = ChunkChecks(self, manifest, arrays)
        self._indices: OrderedDict[str, NDArray[np.int64]] = OrderedDict()
        self._lock = threading.Lock()
        self._counts = CacheCounts(0, 0, 0)

    @property
    def uri(self) -> str:
        """Place of the store."""
        return self._objects.uri

    @property
    def counts(self) -> CacheCounts:
        """Counts of all reads so far."""
        return self._counts

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        task = commit_task(path)
        if task is None or task >= len(self._manifest.commits):
            return self._objects.get(path)
        return self._commit(path, self._manifest.commits[task])

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object, fewer if it is shorter; raises `MissingObjectError`."""
        shard, task = self._shard(path), commit_task(path)
        if task is not None and task < len(self._manifest.commits):
            return self._commit(path, self._manifest.commits[task])[start:stop]
        if shard is None:
            return self._objects.get_range(path, start, stop)
        if shard.spec.compressor != "none" and start == self._index_start(shard):
            return self._index_tail(shard)[: stop - start]
        blocks = self._blocks(shard, start, stop)
        if not blocks:
            return self._objects.get_range(path, start, stop)
        begin = blocks[0].start
        return b"".join(self._read(shard, blocks))[start - begin : stop - begin]

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        shard, stop = self._shard(path), start + len(into)
        blocks = [] if shard is None else self._blocks(shard, start, stop)
        if shard is None or not blocks:
            return self._objects.read_into(path, start, into)
        begin = blocks[0].start
        for data in self._read(shard, blocks):
            part = memoryview(data)[max(start - begin, 0) : stop - begin]
            at = max(begin - start, 0)
            into[at : at + len(part)] = part
            begin += len(data)
        return min(begin, stop) - start

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading with seeks, without the cache; raises `MissingObjectError`."""
        return self._objects.open(path)

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object."""
        self._objects.put(path, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists."""
        return self._objects.put_new(path, data)

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        self._objects.put_file(path, local)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder."""
        return self._objects.sizes(prefix)

    def delete(self, path: str) -> None:
        """Remove an object."""
        self._objects.delete(path)

    def modified(self, prefix: str = "") -> dict[str, float]:
        """Return when the objects below a folder were last written."""
        return self._objects.modified(prefix)

    def sweep(self, *, large: Collection[str] = ()) -> None:
        """Remove leftovers of interrupted writers."""
        self._objects.sweep(large=large)

    def _shard(self, path: str) -> _Shard | None:
        """Return the facts of an object if it can be cached: rows of a task in the manifest."""
        place, task = self._place_of.get(path.rpartition("/c/")[0]), self._inventory.task_of(path)
        if place is None or task is None or self._manifest.commits[task] is None:
            return None
        return _Shard(path, place, task, self._arrays[place])

    def _read(self, shard: _Shard, blocks: list[_Block]) -> Iterator[bytes]:
        """Yield consecutive blocks: cached ones, and runs of missing ones read with one request."""
        for is_kept, run in groupby(((block, self._kept(block)) for block in blocks), lambda one: one[1] is not None):
            found = list(run)
            if is_kept:
                yield from (data for _, data in found if data is not None)
                continue
            begin = found[0][0].start
            data = self._objects.get_range(shard.path, begin, found[-1][0].stop)
            for block, _ in found:
                part = data[block.start - begin : block.stop - begin]
                # Damaged data goes to the reader, which names the object in its error; the next read may be right.
                if _is_sound(block, part):
                    self._cache.put(block.name, part)
                elif shard.spec.compressor != "none":
                    self._forget_index(shard)
            yield data
            if begin + len(data) < found[-1][0].stop:
                return  # the object ends too early, and so does the read

    def _commit(self, path: str, digest: str | None) -> bytes:
        kept = None if digest is None else self._cache.get(digest, most_bytes=MOST_DOCUMENT_BYTES)
        if kept is not None and sha256_hex(kept) == digest:
            self._count(found=1)
            return kept
        data = read_document(self._objects, path)
        self._count(fetched=1, damaged=int(kept is not None))
        if digest is not None and sha256_hex(data) == digest and len(data) <= self._most_bytes:
            self._cache.put(digest, data)
        return data

    def _kept(self, block: _Block) -> bytes | None:
        data = self._cache.get(block.name, most_bytes=block.stop - block.start)
        if data is not None and _is_sound(block, data):
            self._count(found=1)
            return data
        self._count(fetched=1, damaged=int(data is not None))
        return None

    def _blocks(self, shard: _Shard, start: int, stop: int) -> list[_Block]:
        """Return the blocks that hold bytes [start, stop); none if not all of these belong to chunks."""
        crc32c = self._checks.task(shard.task).crc32c_AC[shard.place].tolist()
        chunk_bytes = shard.spec.chunk[0] * shard.spec.row_bytes
        plain = shard.spec.compressor == "none"
        extents = [chunk_bytes] * len(crc32c) if plain else self._index(shard)[:, 1].tolist()
        ends = [0, *accumulate(extents)]
        if not 0 <= start < stop <= ends[-1]:
            return []
        chunks = max(BLOCK_BYTES // chunk_bytes, 1)
        first = (bisect_right(ends, start) - 1) // chunks * chunks
        last = bisect_left(ends, stop)
        blocks = []
        for begin in range(first, last, chunks):
            end = min(begin + chunks, len(extents))
            name = self._name(shard, f"{ends[begin]}-{ends[end]}")
            blocks.append(_Block(name, ends[begin], ends[end], tuple(extents[begin:end]), tuple(crc32c[begin:end])))
        return blocks

    def _index(self, shard: _Shard) -> NDArray[np.int64]:
        with self._lock:
            known = self._indices.get(shard.path)
            if known is not None:
                self._indices.move_to_end(shard.path)
                return known
        index = self._parsed(shard, self._index_tail(shard))
        with self._lock:
            self._indices[shard.path] = index
            while len(self._indices) > _INDICES_IN_MEMORY:
                self._indices.popitem(last=False)
        return index

    def _parsed(self, shard: _Shard, tail: bytes) -> NDArray[np.int64]:
        """Return offset and length of each chunk.

        Raises
        ------
        CorruptObjectError
            If the index is damaged, or the number or size of the chunks differs from the commit.
        """
        name = self._checks.name(shard.place, shard.task)
        index = parse_index(shard.spec, tail, name=name)
        ends = [0, *accumulate(index[:, 1].tolist())]
        chunks = self._checks.task(shard.task).crc32c_AC.shape[1]
        if index[:, 0].tolist() != ends[:-1] or ends[-1] != self._index_start(shard) or len(index) != chunks:
            raise CorruptObjectError(
                f"{name}: the shard index is of other bytes; find all damage with 'actstore verify'"
            )
        return index

    def _index_start(self, shard: _Shard) -> int:
        return int(self._checks.task(shard.task).bytes_A[shard.place]) - index_bytes(shard.spec)

    def _index_tail(self, shard: _Shard) -> bytes:
        """Return the index at the end of a compressed shard, which carries its own checksum."""
        name = self._name(shard, "index")
        kept = self._cache.get(name, most_bytes=index_bytes(shard.spec))
        if kept is not None and self._is_index(shard, kept):
            self._count(found=1)
            return kept
        start = self._index_start(shard)
        tail = self._objects.get_range(shard.path, start, start + index_bytes(shard.spec))
        self._count(fetched=1, damaged=int(kept is not None))
        if self._is_index(shard, tail):
            self._cache.put(name, tail)
        return tail

    def _is_index(self, shard: _Shard, tail: bytes) -> bool:
        try:
            self._parsed(shard, tail)
        except CorruptObjectError:
            return False
        return True

    def _forget_index(self, shard: _Shard) -> None:
        """Drop an index, so that it is fetched again: it may differ from the commit."""
        self._cache.discard(self._name(shard, "index"))
        with self._lock:
            self._indices.pop(shard.path, None)

    def _name(self, shard: _Shard, part: str) -> str:
        return hashlib.sha256(f"{self._manifest.commits[shard.task]} {shard.path} {part}".encode()).hexdigest()

    def _count(self, *, found: int = 0, fetched: int = 0, damaged: int = 0) -> None:
        with self._lock:
            before = self._counts
            self._counts = CacheCounts(before.found + found, before.fetched + fetched, before.damaged + damaged)


def _is_sound(block: _Block, data: bytes) -> bool:
    """Return whether every chunk has the checksum in the commit."""
    if len(data) != block.stop - block.start:
        return False
    begin = 0
    for extent, crc32c in zip(block.extents, block.crc32c, strict=True):
        if google_crc32c.value(data[begin : begin + extent]) != crc32c:
            return False
        begin += extent
    return True
