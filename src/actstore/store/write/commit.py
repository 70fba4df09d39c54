"""Commits: the objects of one task, with sizes and digests that check every byte."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from actstore.access.objects import ObjectStore
from actstore.contracts.recipe import MOST_INTEGER
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.format.documents import parse_document, read_document
from actstore.store.format.layout import COMMITS, ArraySpec, commit_path
from actstore.store.format.shard import shard_bytes

__all__ = [
    "Commit",
    "StoredObject",
    "commit_task",
    "committed_tasks",
    "is_committed",
    "load_commit",
    "stored_problem",
]

_SHA256: Final = r"^[0-9a-f]{64}$"
_COMMIT_PATH: Final = re.compile(rf"{COMMITS}/(0|[1-9][0-9]{{,17}})\.json")


class StoredObject(BaseModel):
    """Size and digests of one object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0, le=MOST_INTEGER)
    """Bytes."""
    sha256: str = Field(pattern=_SHA256)
    crc32c: str = ""
    """Base64 of the CRC-32C of each chunk as little-endian uint32, in order; empty for objects of one chunk."""

    @field_validator("crc32c")
    @classmethod
    def _is_checksums(cls, text: str) -> str:
        try:
            packed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("not base64") from error
        if len(packed) % 4:
            raise ValueError(f"{len(packed)} bytes are no whole number of CRC-32Cs")
        return text

    @property
    def chunk_crc32c(self) -> tuple[int, ...]:
        """The checksums as integers."""
        return tuple(np.frombuffer(base64.b64decode(self.crc32c), dtype="<u4").tolist())

    @classmethod
    def of(cls, data: bytes, crc32c: tuple[int, ...] = ()) -> StoredObject:
        """Describe an object by its content."""
        packed = base64.b64encode(np.array(crc32c, dtype="<u4").tobytes()).decode()
        return cls(size=len(data), sha256=sha256_hex(data), crc32c=packed)


class Commit(BaseModel):
    """A finished task. The commit is created only after all objects that it names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: int = Field(ge=0, le=MOST_INTEGER)
    split: str
    rows: int = Field(ge=0, le=MOST_INTEGER)
    recipe_sha256: str = Field(pattern=_SHA256)
    objects: dict[str, StoredObject]

    def to_json(self) -> bytes:
        """Return the bytes that are stored."""
        return canonical_json(self.model_dump())


def stored_problem(spec: ArraySpec, stored: StoredObject, rows: int) -> str | None:
    """Return why an object of an array cannot have the size and the checksums that a commit says, else None.

    Parameters
    ----------
    spec, stored
        The array, and what the commit says of its object.
    rows
        Rows of the task.
    """
    if not spec.sharded:
        least = most = spec.row_bytes
        chunks = 0
    else:
        chunks = -(-rows // spec.chunk[0])
        least, most = shard_bytes(spec, chunks)
    if (found := len(stored.chunk_crc32c)) != chunks:
        return f"names {found} chunks, its rows need {chunks}"
    if not least <= stored.size <= most:
        return f"says {stored.size:,} bytes, its rows take {least:,} to {most:,}"
    return None


def committed_tasks(objects: ObjectStore) -> set[int]:
    """Return the tasks that have a commit."""
    return {task for path in objects.sizes(COMMITS) if (task := commit_task(path)) is not None}


def is_committed(objects: ObjectStore, task: int) -> bool:
    """Return whether a task has a commit."""
    try:
        objects.get_range(commit_path(task), 0, 1)
    except MissingObjectError:
        return False
    return True


def commit_task(path: str) -> int | None:
    """Return the task whose commit has this path; None if it is not the path of a commit."""
    match = _COMMIT_PATH.fullmatch(path)
    return None if match is None else int(match[1])


def load_commit(objects: ObjectStore, task: int, *, sha256: str | None = None) -> Commit:
    """Read one commit.

    Raises
    ------
    MissingObjectError
        If there is none.
    CorruptObjectError
        If it does not parse, was edited, belongs to another task, or its digest is not `sha256`.
    """
    path = commit_path(task)
    data = read_document(objects, path)
    if sha256 is not None and sha256_hex(data) != sha256:
        raise CorruptObjectError(
            f"{objects.uri}: {path} (task {task}): sha256 {sha256_hex(data)[:12]}..., the manifest "
            f"says {sha256[:12]}...; the store is not the one that the manifest describes, or the commit was altered"
        )
    try:
        commit = parse_document(Commit, data, unique=True)
    except ValueError as error:
        raise CorruptObjectError(
            f"{objects.uri}: {path} (task {task}) does not parse: {error}; have it written "
            f"again with 'actstore repair URI --task {task}'"
        ) from error
    if commit.task != task:
        raise CorruptObjectError(f"{objects.uri}: {path} is the commit of task {commit.task}")
    if commit.to_json() != data:
        raise CorruptObjectError(f"{objects.uri}: {path} (task {task}) is not written as commits are; it was edited")
    return commit
