"""Folders for temporary files, removed when they are no longer needed; those of killed runs by the next run."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from actstore.leaving import putting_away

__all__ = ["holding", "left_scratch", "lock", "scratch_folder", "sweep_scratch"]

_NAME: Final = re.compile(r"actstore-[a-z]+-(?P<host>.+)-[a-z0-9_]{8}")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """Yield a new folder in the temporary directory, which is removed afterwards; first, sweep what killed runs left.

    Parameters
    ----------
    kind
        Part of its name: lower-case letters.

    Raises
    ------
    OSError
        If the temporary directory cannot be written.
    """
    sweep_scratch()
    folder, held = _new(f"actstore-{kind}-{_host()}-")
    try:
        with putting_away(lambda: shutil.rmtree(folder, ignore_errors=True)):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep_scratch() -> None:
    """Remove the folders of `scratch_folder` whose process on this machine has ended.

    Each process locks its folders as long as it lives. A folder that cannot be locked, or belongs to another machine or
    user, is left.
    """
    for folder in _dead_folders():
        shutil.rmtree(folder, ignore_errors=True)


def left_scratch() -> list[Path]:
    """Return the folders that `sweep_scratch` would remove."""
    return sorted(_dead_folders())


def lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed or the process ends.

    Return False if another one holds the lock, and None if the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def holding(path: Path | str, *, folder: int | None = None) -> Iterator[bool | None]:
    """Hold the lock of a file inside the context; yield False if another one holds it, and None if there are no locks.

    A relative path counts from an open folder, if one is given.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    # NFS gives exclusive locks only on files that are open for writing.
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield lock(descriptor)
    finally:
        os.close(descriptor)


def _new(prefix: str) -> tuple[Path, int]:
    """Make and lock a folder; another process may take it for a dead one before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, _FOLDER)
            if lock(descriptor) is not False and _is_at(descriptor, folder):
                return folder, descriptor
            os.close(descriptor)


def _dead_folders() -> Iterator[Path]:
    """Yield folders whose process has ended; each is locked until the next is asked for."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).iterdir():
            name = _NAME.fullmatch(folder.name)
            if name is not None and name["host"] == _host():
                with suppress(OSError):  # it belongs to somebody else, or somebody else removes it
                    descriptor = os.open(folder, _FOLDER)
                    try:
                        mine = os.fstat(descriptor).st_uid == os.getuid()
                        if mine and lock(descriptor) and _is_at(descriptor, folder):
                            yield folder
                    finally:
                        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to an open folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
