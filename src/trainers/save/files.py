"""Writes that are complete or absent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actstore import errors

__all__ = ["file_sha256", "flush_to_disk", "replace_file", "writing_to"]


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Report in one line, without a traceback, that a folder cannot be written.

    Raises
    ------
    TrainingError
        In place of an OSError; files written before stay as they are.
    """
    try:
        yield
    except OSError as error:
        raise errors.TrainingError(
            f"{folder}: cannot be written: {error.strerror or error}; free space or give another --out"
        ) from error


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file; a kill at any moment leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    flush_to_disk(partial)
    partial.replace(path)
    flush_to_disk(path.parent)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
