"""Sequences that come through a pipe: copied to a temporary file, since files are read more than once."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO, Final

from actstore.errors import CorpusError, UsageError

__all__ = ["SpooledPipe", "is_pipe", "refuse_earlier_pipe"]

_STANDARD_INPUT: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_DESCRIPTORS: Final = ("/dev/fd/", "/proc/self/fd/")
_PREFIX: Final = "pipe:sha256="
_COPY_BYTES: Final = 1 << 20


def is_pipe(path: str) -> bool:
    """Return whether a path means bytes that can be read only once: `-`, `/dev/stdin`, `<(command)`, a named pipe.

    Examples
    --------
    >>> is_pipe("-"), is_pipe("/dev/fd/63"), is_pipe("proteins.fasta")
    (True, True, False)
    """
    if path in _STANDARD_INPUT or path.startswith(_DESCRIPTORS):
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def refuse_earlier_pipe(name: str) -> None:
    """Refuse the name that a recipe records for a pipe, since its bytes are gone.

    Raises
    ------
    UsageError
        With the digest of the bytes.
    """
    if name.startswith(_PREFIX):
        raise UsageError(
            f"corpus.sequences = {name}: these sequences came through a pipe and are no file; the recipe has the "
            "SHA-256 of the bytes. Give them again with --sequences, or go on with --store alone, which has them"
        )


class SpooledPipe:
    """The bytes of a pipe in a temporary file without a name, with the one method of a file system that is needed.

    The file disappears with the object, or when the process ends.

    Parameters
    ----------
    path
        As `is_pipe` knows it.

    Raises
    ------
    CorpusError
        If the pipe cannot be read, or there is no room for its bytes.
    UsageError
        If it is a terminal.
    """

    def __init__(self, path: str) -> None:
        digest = hashlib.sha256()
        with _opened(path) as pipe:
            try:
                file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed below
            except OSError as error:
                raise _no_room(error) from error
            with file:
                while block := _read(pipe, path):
                    digest.update(block)
                    _write(file, block)
                self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.recorded_name = f"{_PREFIX}{digest.hexdigest()}"
        """Name in a recipe: what was read, since the name of a pipe means nothing later."""

    def open(self, _path: str, _mode: str = "rb") -> BinaryIO:
        """Return the bytes as a file of its own, to be read from the start."""
        return io.BufferedReader(_Reader(self._descriptor, self))


class _Reader(io.RawIOBase):
    """Reads a descriptor at a position of its own."""

    def __init__(self, descriptor: int, owner: object) -> None:
        self._descriptor, self._owner, self._at = descriptor, owner, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        count = os.preadv(self._descriptor, [buffer], self._at)
        self._at += count
        return count


def _opened(path: str) -> BinaryIO:
    try:
        descriptor = os.dup(0) if path in _STANDARD_INPUT else os.open(path, os.O_RDONLY)
        if os.isatty(descriptor):
            os.close(descriptor)
            raise UsageError(
                f"--sequences {path}: that is a terminal; pipe the sequences in, or give the name of a file"
            )
        return os.fdopen(descriptor, "rb", buffering=0)
    except OSError as error:
        raise CorpusError(f"{path}: cannot be opened: {error.strerror or error}") from error


def _read(pipe: BinaryIO, path: str) -> bytes:
    try:
        return pipe.read(_COPY_BYTES)
    except OSError as error:
        raise CorpusError(f"{path}: reading failed: {error.strerror or error}") from error


def _write(file: Any, block: bytes) -> None:  # noqa: ANN401 - the type of a temporary file is not public
    unwritten = memoryview(block)
    try:
        while unwritten:
            unwritten = unwritten[file.write(unwritten) :]
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> CorpusError:
    return CorpusError(
        f"{tempfile.gettempdir()}: cannot hold the sequences from the pipe: {error.strerror or error}; set TMPDIR to a "
        "folder with room for them, or give the name of a file"
    )
