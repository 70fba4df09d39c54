"""Open files from untrusted sources: opening a pipe in the place of a file would wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["IrregularFileError", "open_regular"]


class IrregularFileError(OSError):
    """A pipe, a socket or a device in the place of a file."""


def open_regular(path: Path, *, buffering: int = -1, follow: bool = True) -> BinaryIO:
    """Open a file for reading, without waiting for a writer.

    Parameters
    ----------
    path
        The file.
    buffering
        As of the built-in `open`.
    follow
        Whether the file may be a symbolic link; its folder may be one in any case.

    Raises
    ------
    IrregularFileError
        If it is a pipe, a socket or a device.
    OSError
        If it cannot be opened; `IsADirectoryError` if it is a folder.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise IrregularFileError(errno.ENXIO, "not a file", str(path)) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise IrregularFileError(errno.EINVAL, "not a file", str(path))
        return os.fdopen(descriptor, "rb", buffering=buffering)
    except OSError:
        os.close(descriptor)
        raise
