"""Checksums of the chunks that a reader needs, kept small: of each commit, only the checksums stay in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from actstore.errors import CorruptObjectError, IncompleteStoreError
from actstore.store.format.layout import ArraySpec
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source, owner_of
from actstore.store.write.commit import load_commit, stored_problem

__all__ = ["ChunkChecks", "TaskChecks"]

_TASKS_IN_MEMORY: Final = 4096
"""27 MB at 24 sites and 64 chunks; a dropped commit is read again."""


class TaskChecks(NamedTuple):
    """Sizes and checksums of the objects that one task wrote for some arrays."""

    rows: int
    bytes_A: NDArray[np.int64]
    """Size of each array's object."""
    crc32c_AC: NDArray[np.uint32]
    """CRC-32C of each chunk as stored."""


class ChunkChecks:
    """Compares chunks with the checksums in their task's commit, and commits with their digests in the manifest.

    Parameters
    ----------
    objects, manifest
        From `open_manifest`.
    arrays
        Row arrays with the same chunks; a chunk is addressed by the index of its array in this list.
    late
        Also accept commits in the store that the manifest does not have yet.
    """

    def __init__(self, objects: Source, manifest: Manifest, arrays: Sequence[ArraySpec], *, late: bool = False) -> None:
        self._objects = objects
        self._manifest = manifest
        self._arrays = tuple(arrays)
        self._late = late
        self._tasks: OrderedDict[int, TaskChecks] = OrderedDict()
        self._lock = threading.Lock()

    def task(self, task: int) -> TaskChecks:
        """Return sizes and checksums from the commit of a task.

        Raises
        ------
        IncompleteStoreError
            If the manifest has no commit of this task.
        MissingObjectError, CorruptObjectError
            If the commit is lost (or, with `late`, not there yet) or altered, or contradicts recipe or layout.
        """
        with self._lock:
            known = self._tasks.get(task)
            if known is not None:
                self._tasks.move_to_end(task)
                return known
        loaded = self._load(task)
        with self._lock:
            self._tasks[task] = loaded
            while len(self._tasks) > _TASKS_IN_MEMORY:
                self._tasks.popitem(last=False)
        return loaded

    def compare(self, array: int, task: int, chunk: int, stored: bytes | memoryview) -> None:
        """Compare one chunk, as it is stored, with its checksum.

        Raises
        ------
        CorruptObjectError
            If they differ.
        """
        # The checksum function accepts only bytes; copying a chunk in cache costs a third of checking it.
        if google_crc32c.value(bytes(stored)) != self.task(task).crc32c_AC[array, chunk]:
            raise CorruptObjectError(
                f"{self.name(array, task)}: chunk {chunk} does not have the checksum that its commit says; find all "
                "damage with 'actstore verify'"
            )

    def name(self, array: int, task: int) -> str:
        """Return the name of an object for messages."""
        owner = owner_of(self._objects, self._manifest, task)
        return f"{owner.objects.uri}: {self._arrays[array].object_path(owner.task)} (task {owner.task})"

    def forget(self) -> None:
        """Drop all checksums."""
        with self._lock:
            self._tasks.clear()

    def _load(self, task: int) -> TaskChecks:
        digest = self._manifest.commits[task]
        if digest is None and not self._late:
            raise IncompleteStoreError(f"{self._objects.uri}: task {task} is not extracted yet")
        owner = owner_of(self._objects, self._manifest, task)
        commit = load_commit(owner.objects, owner.task, sha256=digest)
        if commit.recipe_sha256 != owner.recipe_sha256:
            raise CorruptObjectError(f"{self._objects.uri}: the commit of task {task} was made under another recipe")
        wanted = self._manifest.frozen.rows_of(task)
        if commit.rows != wanted:
            raise CorruptObjectError(
                f"{self._objects.uri}: the commit of task {task} has {commit.rows} rows, the plan {wanted}"
            )
        for spec in self._arrays:
            if spec.object_path(owner.task) not in commit.objects:
                raise CorruptObjectError(
                    f"{owner.objects.uri}: the commit of task {owner.task} does not name "
                    f"{spec.object_path(owner.task)}; find all "
                    "damage with 'actstore verify'"
                )
        entries = [commit.objects[spec.object_path(owner.task)] for spec in self._arrays]
        for array, (entry, spec) in enumerate(zip(entries, self._arrays, strict=True)):
            if problem := stored_problem(spec, entry, commit.rows):
                raise CorruptObjectError(f"{self.name(array, task)}: its commit {problem}")
        return TaskChecks(
            commit.rows,
            np.array([entry.size for entry in entries], dtype=np.int64),
            np.array([entry.chunk_crc32c for entry in entries], dtype=np.uint32),
        )
