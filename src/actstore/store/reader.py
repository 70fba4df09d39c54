"""Windows back out of a store, every byte checked before it is handed on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from actstore.contracts.objects import ObjectStore
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, IncompleteStoreError, SiteError
from actstore.quantize.table import QUANTIZERS
from actstore.store.commit import Commit, load_commit
from actstore.store.layout import ArraySpec, row_arrays, values_path
from actstore.store.manifest import Manifest
from actstore.store.shard import decode_chunk, index_bytes, parse_index

__all__ = ["StoreReader"]


class StoreReader:
    """Reads windows of some sites; a `WindowReader`.

    Each chunk is compared with the checksum in its task's commit, and each commit with its digest in the manifest,
    so rows that reach a buffer are the rows that the manifest describes.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    sites
        Names of the sites, in the order in which buffers hold them.

    Raises
    ------
    SiteError
        If the store has no such site.
    """

    def __init__(self, objects: ObjectStore, manifest: Manifest, sites: Sequence[str]) -> None:
        self._objects = objects
        self._manifest = manifest
        names = [site.name for site in manifest.sites]
        missing = [site for site in sites if site not in names]
        if missing:
            raise SiteError(f"{objects.uri}: no site {missing[0]!r}; the store has {', '.join(names)}")
        self._sites = tuple(sites)
        self._columns = np.array([names.index(site) for site in sites])
        frozen = manifest.frozen
        store = frozen.recipe.store
        arrays = row_arrays(manifest.sites, QUANTIZERS[store.encoding], store, frozen.array_rows)
        self._arrays = {spec.path: spec for spec in arrays}
        self._commits: dict[int, Commit] = {}
        self._indices: dict[tuple[str, int], NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        """Fill a buffer with the rows of a window.

        Raises
        ------
        ValueError
            If the buffer is of another size.
        IndexError
            If the task has no such rows.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        if len(into.row_N) != window.stop - window.start:
            raise ValueError(f"a buffer of {len(into.row_N)} rows for {window}")
        for slot, site in enumerate(self._sites):
            into.values_NSD[:, slot] = self.rows(values_path(site), window)
        if into.scale_NS is not None:
            into.scale_NS[:] = self.rows("scales/row", window)[:, self._columns]
        into.sequence_N[:] = self.rows("rows/sequence", window)
        first = window.task * self._manifest.frozen.recipe.store.task_rows
        into.row_N[:] = np.arange(first + window.start, first + window.stop)

    def rows(self, array: str, window: RowWindow) -> NDArray[Any]:
        """Return the rows of a window of one array, as stored."""
        spec = self._arrays[array]
        commit = self._commit(window.task)
        if not 0 <= window.start < window.stop <= commit.rows:
            raise IndexError(f"rows {window.start} to {window.stop} of task {window.task}, which has {commit.rows}")
        chunk_rows = spec.chunk[0]
        first, last = window.start // chunk_rows, (window.stop - 1) // chunk_rows
        chunks = self._chunks(spec, commit, first, last + 1)
        skip = window.start - first * chunk_rows
        return chunks[skip : skip + window.stop - window.start]

    def close(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._commits.clear()
            self._indices.clear()

    def _chunks(self, spec: ArraySpec, commit: Commit, first: int, stop: int) -> NDArray[Any]:
        """Return chunks [first, stop) of a task's shard, decoded and laid end to end."""
        path = spec.object_path(commit.task)
        if spec.compressor == "none":
            size = spec.chunk[0] * spec.row_bytes
            extents = [(chunk * size, (chunk + 1) * size) for chunk in range(first, stop)]
        else:
            index = self._index(spec, commit)
            extents = [(int(offset), int(offset + size)) for offset, size in index[first:stop]]
        begin, end = extents[0][0], extents[-1][1]
        data = memoryview(self._objects.get_range(path, begin, end))
        expected = commit.objects[path].chunk_crc32c[first:stop]
        stored = [data[start - begin : stop - begin] for start, stop in extents]
        for chunk, (part, checksum) in enumerate(zip(stored, expected, strict=True), start=first):
            if google_crc32c.value(bytes(part)) != checksum:
                raise CorruptObjectError(
                    f"{self._objects.uri}: {path} (task {commit.task}): chunk {chunk} does not have the checksum that "
                    "its commit says; find all damage with 'actstore verify'"
                )
        if spec.compressor == "none":
            return np.frombuffer(data, dtype=spec.dtype).reshape(-1, *spec.chunk[1:])
        return np.concatenate([decode_chunk(spec, bytes(part)) for part in stored])

    def _commit(self, task: int) -> Commit:
        with self._lock:
            known = self._commits.get(task)
        if known is not None:
            return known
        digest = self._manifest.commits[task]
        if digest is None:
            raise IncompleteStoreError(f"{self._objects.uri}: task {task} is not extracted yet")
        commit = load_commit(self._objects, task, sha256=digest)
        with self._lock:
            self._commits[task] = commit
        return commit

    def _index(self, spec: ArraySpec, commit: Commit) -> NDArray[np.int64]:
        path = spec.object_path(commit.task)
        key = (path, commit.task)
        with self._lock:
            known = self._indices.get(key)
        if known is not None:
            return known
        size = commit.objects[path].size
        tail = self._objects.get_range(path, size - index_bytes(spec), size)
        name = f"{self._objects.uri}: {path} (task {commit.task})"
        index = parse_index(spec, tail, name=name)
        if len(index) != len(commit.objects[path].chunk_crc32c):
            raise CorruptObjectError(f"{name}: the shard has {len(index)} chunks, its commit says otherwise")
        with self._lock:
            self._indices[key] = index
        return index
