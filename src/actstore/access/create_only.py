"""Create a file under a name that nobody has, on any file system; and flush the names of a folder where that can be."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["create_only", "flush_folder"]

_NOT_HERE: Final = frozenset(
    {
        errno.EACCES,
        errno.EINVAL,
        errno.EMLINK,
        errno.ENOSYS,
        errno.ENOTTY,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EXDEV,
    }
)
"""How file systems say that they have no hard links, or no renaming without replacing. The next step finds out
whether it was a matter of permissions instead."""
_NO_FLUSH: Final = frozenset({errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""How file systems say that a folder cannot be flushed."""
_NO_REPLACE: Final = 1


def create_only(partials: int, partial: str, folder: int, name: str) -> None:
    """Give a complete file the name of an object, unless the name is taken.

    A reader sees the whole file or none, and of several writers one succeeds. A hard link does this; disks with FAT or
    exFAT, SMB shares and mounted buckets have none. There the file is renamed without replacing (Linux); where the file
    system cannot do that either, it is renamed under a lock, which excludes writers on the same machine only.

    Parameters
    ----------
    partials, partial
        Descriptor of a folder that all writers use, and a complete file in it. It may be gone afterwards.
    folder, name
        Descriptor of a folder on the same file system, and the new name in it.

    Raises
    ------
    FileExistsError
        If the name is taken.
    OSError
        If the file cannot be placed there.
    """
    for place in (_link, _rename_new):
        try:
            place(partials, partial, folder, name)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
        else:
            return
    _rename_locked(partials, partial, folder, name)


def flush_folder(descriptor: int) -> None:
    """Flush the names in an open folder to disk, for the case of a power failure.

    Some file systems (FUSE, SMB) do not flush folders, and need not: that is no error.

    Raises
    ------
    OSError
        If the disk fails.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


def _link(partials: int, partial: str, folder: int, name: str) -> None:
    os.link(partial, name, src_dir_fd=partials, dst_dir_fd=folder, follow_symlinks=False)


def _rename_new(partials: int, partial: str, folder: int, name: str) -> None:
    rename = _renameat2()
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    if rename(partials, os.fsencode(partial), folder, os.fsencode(name), _NO_REPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


@cache
def _renameat2() -> Callable[..., int] | None:
    """Return the function of the C library; None if it has none."""
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return found


def _rename_locked(partials: int, partial: str, folder: int, name: str) -> None:
    """Rename where nothing is, while no other process of this machine does; the lock ends with the process."""
    # The folder of partial files stays while our file is in it, so every writer locks the same one.
    descriptor = os.open(".", os.O_RDONLY, dir_fd=partials)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise OSError(
                error.errno,
                "the file system has no hard links, no renaming without replacing and no locks, so two writers could "
                "overwrite each other; use another disk, or a bucket by its address (s3://...) and not by a mount",
            ) from error
        if _is_taken(folder, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        os.rename(partial, name, src_dir_fd=partials, dst_dir_fd=folder)
    finally:
        os.close(descriptor)


def _is_taken(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
