"""A local directory as an object store."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from actstore.access.regular_files import IrregularFileError, open_regular
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError

__all__ = ["PARTIAL", "LocalObjects"]

PARTIAL: Final = ".partial"
"""Folder in which objects are written before they are moved into place."""
_ATTEMPTS: Final = 3
_PROCESS: Final = secrets.token_hex(4)
"""Distinguishes this process from a dead one with the same id; ids repeat in a restarted container."""


class LocalObjects:
    """A directory. Objects are written beside the data, flushed to disk, and renamed or linked into place."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        """The absolute path of the directory."""
        return str(self._root)

    def local_path(self, path: str) -> Path:
        """Return the local path of an object."""
        return self._root / path

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        with self._translated(path), open_regular(self._root / path, buffering=0) as file:
            return file.read()

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object; raises `MissingObjectError`."""
        with self._translated(path), open_regular(self._root / path, buffering=0) as file:
            return os.pread(file.fileno(), stop - start, start)

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        found = 0
        with self._translated(path), open_regular(self._root / path, buffering=0) as file:
            while got := os.preadv(file.fileno(), [into[found:]], start + found):
                found += got
        return found

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object."""
        with self._partial(path) as partial:
            _write_durably(partial, data)
            self._publish(partial, path)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists; a hard link makes that atomic."""
        target = self._root / path
        if self._is_there(path):  # before writing: an existing object is no error in a read-only folder
            return False
        with self._partial(path) as partial:
            _write_durably(partial, data)
            try:
                self._in_its_folder(target, lambda: target.hardlink_to(partial))
            except FileExistsError:
                return False
        return True

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        with self._partial(path) as partial:
            shutil.copyfile(local, partial)
            _flush(partial)
            self._publish(partial, path)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for reading with seeks; raises `MissingObjectError`."""
        with self._translated(path):
            file = open_regular(self._root / path)
        with file:
            yield file

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder."""
        return {path: status.st_size for path, status in self._listed(prefix)}

    def sweep(self, *, large: Collection[str] = ()) -> None:  # noqa: ARG002 - files are never written in parts
        """Remove partial files whose writer on this machine has died."""
        try:
            for path in self._partials(dead=True):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.uri}: {PARTIAL} cannot be swept: {error.strerror or error}") from error
        with suppress(OSError):
            (self._root / PARTIAL).rmdir()

    def unfinished(self) -> dict[str, os.stat_result]:
        """Return the partial files, by path, without those of living writers on this machine."""
        found: dict[str, os.stat_result] = {}
        for path in self._partials(dead=False):
            with suppress(FileNotFoundError):
                found[path.relative_to(self._root).as_posix()] = path.stat()
        return found

    def _partials(self, *, dead: bool) -> Iterator[Path]:
        """Yield the partial files of writers that are dead, or of writers that may be dead."""
        found: list[Path] = []
        with suppress(FileNotFoundError, NotADirectoryError):
            found = list((self._root / PARTIAL).iterdir())
        for partial in found:
            match partial.name.rsplit("-", 2):
                case [host, pid, name] if pid.isdecimal() and host == socket.gethostname():
                    if not _alive(int(pid), name):
                        yield partial
                case _ if not dead:
                    yield partial

    def delete(self, path: str) -> None:
        """Remove an object, durably in case of a power failure; it is no error if it does not exist."""
        target = self._root / path
        try:
            target.unlink(missing_ok=True)
            if target.parent.is_dir():
                _flush_folder(target.parent)
        except NotADirectoryError:  # there are no objects below an object
            return
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be removed: {error.strerror or error}") from error

    def remove_empty_folders(self, paths: Iterable[str]) -> None:
        """Remove the parent folders of removed objects, if they are empty."""
        for path in paths:
            folder = (self._root / path).parent
            with suppress(OSError):  # not empty, or already removed
                while folder != self._root:
                    folder.rmdir()
                    folder = folder.parent

    def modified(self, prefix: str = "") -> dict[str, float]:
        """Return when the objects below a folder were last written, in seconds since 1970."""
        return {path: status.st_mtime for path, status in self._listed(prefix)}

    def _listed(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        for folder, folders, names in os.walk(self._root / prefix, onerror=self._unlisted):
            folders[:] = [name for name in folders if name != PARTIAL]
            relative = Path(folder).relative_to(self._root)
            for name in names:
                with suppress(FileNotFoundError):  # removed after it was listed
                    yield (relative / name).as_posix(), (Path(folder) / name).stat()

    def _publish(self, partial: Path, path: str) -> None:
        target = self._root / path
        self._in_its_folder(target, lambda: partial.replace(target))

    def _in_its_folder(self, target: Path, place: Callable[[], object]) -> None:
        """Move a file into place; create its folder again if another process removed it while it was empty."""
        for last in (False,) * _ATTEMPTS + (True,):
            try:
                place()
                break
            except FileNotFoundError:
                if last:
                    raise
                target.parent.mkdir(parents=True, exist_ok=True)
        _flush_folder(target.parent)

    def _is_there(self, path: str) -> bool:
        """Return whether there is an object.

        Raises
        ------
        StoreError
            If there is a folder in its place.
        """
        try:
            mode = (self._root / path).stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be written: {error.strerror or error}") from error
        if stat.S_ISDIR(mode):
            raise StoreError(f"{self.uri}: object {path} cannot be written: a folder lies in its place; remove it")
        return True

    @contextmanager
    def _partial(self, path: str) -> Iterator[Path]:
        try:
            (self._root / path).parent.mkdir(parents=True, exist_ok=True)
            partial = self._new_partial()
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)
                with suppress(OSError):
                    partial.parent.rmdir()
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be written: {error.strerror or error}") from error

    def _new_partial(self) -> Path:
        """Create an empty file for one write, in the folder that the last writer to finish removes.

        Names are never reused: a leftover may be a hard link to an object that its writer has just published.
        """
        folder = self._root / PARTIAL
        partial = folder / f"{socket.gethostname()}-{os.getpid()}-{_PROCESS}.{secrets.token_hex(8)}"
        while True:
            # Another writer may remove the folder between any two of these steps, until it holds our file.
            with suppress(FileExistsError):
                folder.mkdir()
            with suppress(FileNotFoundError):
                partial.touch(exist_ok=False)
                return partial

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise MissingObjectError(f"{self.uri}: object {path} is missing") from error
        except IrregularFileError as error:
            raise CorruptObjectError(
                f"{self.uri}: object {path} is not a file, but a pipe, a socket or a device; remove it"
            ) from error
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be read: {error.strerror or error}") from error

    def _unlisted(self, error: OSError) -> None:
        """Raise that a folder cannot be listed; a folder that does not exist is empty and no error."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise StoreError(f"{self.uri}: {error.filename} cannot be listed: {error.strerror}") from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, for the case of a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _alive(pid: int, name: str) -> bool:
    if pid == os.getpid():
        return name.startswith(f"{_PROCESS}.")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
