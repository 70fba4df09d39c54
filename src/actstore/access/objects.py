"""The operations on object storage that a store needs."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = ["ObjectStore"]


class ObjectStore(Protocol):
    """Whole objects under one root, addressed by relative paths with forward slashes.

    Writes are atomic: a reader sees the old object, the new one or none, never a part. The suite in
    `actstore.testing.conformance_objects` defines what an implementation must do.
    """

    @property
    def uri(self) -> str:
        """Place of the root, as a user would type it."""
        ...

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        ...

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object, fewer if it is shorter; raises `MissingObjectError`."""
        ...

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object."""
        ...

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists; return whether it was written."""
        ...

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        ...

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading with seeks; raises `MissingObjectError`."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes in bytes of all objects below a prefix (a folder), in any order."""
        ...

    def delete(self, path: str) -> None:
        """Remove an object; it is no error if there is none."""
        ...

    def modified(self, prefix: str = "") -> dict[str, float]:
        """Return when the objects below a prefix were last written, in seconds since 1970, if the storage tells."""
        ...

    def sweep(self, *, large: Collection[str] = ()) -> None:
        """Remove hidden leftovers of interrupted writers; keep those of writers that may be alive.

        `large` names the objects that a store may upload in parts: only their parts are removed, since those of other
        objects belong to other programs.
        """
        ...
