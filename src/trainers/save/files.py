"""Writes that are complete or absent."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from actstore import errors

__all__ = [
    "file_sha256",
    "flush_to_disk",
    "open_to_append",
    "refuse_link",
    "replace_file",
    "save_tensors",
    "writing_to",
]

_NO_FLUSH: Final = frozenset({errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""How file systems (FUSE, SMB) say that a folder cannot be flushed, and need not be."""


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Report in one line, without a traceback, that a folder cannot be written.

    Raises
    ------
    TrainingError
        In place of an OSError or an error of safetensors; files written before stay as they are.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or error
        raise errors.TrainingError(f"{folder}: cannot be written: {cause}; free space or give another --out") from error


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file; a kill at any moment leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with partial.open("xb") as file:  # a link that somebody puts there meanwhile is an error
        file.write(data)
    flush_to_disk(partial)
    partial.replace(path)
    flush_to_disk(path.parent)


def open_to_append(path: Path) -> FileIO:
    """Open a file to append bytes, without a buffer; make it if absent.

    Raises
    ------
    OSError
        If it is a symbolic link.
    """
    refuse_link(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return FileIO(os.open(path, flags, 0o666), "ab")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a new safetensors file with the permissions of any other new file; safetensors itself gives it 0600."""
    path.touch(exist_ok=False)
    usual = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(usual)


def refuse_link(path: Path) -> None:
    """Refuse to write or remove anything through a symbolic link in a run's folder.

    Raises
    ------
    OSError
        If the path is a symbolic link.
    """
    if path.is_symlink():
        raise OSError(
            errno.ELOOP,
            f"{path} is a symbolic link, and nothing is written or removed through a link; move what it leads to into "
            "its place, or remove the link",
        )


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power failure.

    A folder that the file system cannot flush is no error.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH or not path.is_dir():
            raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
