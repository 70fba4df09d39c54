"""A local directory as an object store."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from actstore.access.below_root import broken_link, open_folder
from actstore.access.create_only import create_only, flush_folder
from actstore.access.partial_files import PARTIAL, PartialFile, new_partial, sweep_partials, unfinished_partials
from actstore.access.regular_files import IrregularFileError, open_regular
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError

__all__ = ["PARTIAL", "LocalObjects"]

_ATTEMPTS: Final = 3
_BLOCK_BYTES: Final = 1 << 20
_LEADS_NOWHERE: Final = (
    "is a symbolic link that leads nowhere or in a circle; put back what it leads to, or remove the link"
)
_NOT_WRITABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Reasons for which leftovers cannot be removed, and nothing can be written either: whoever must write finds out."""


class LocalObjects:
    """A directory. Objects are written beside the data, flushed to disk, and renamed or linked into place.

    Links below the directory are followed to read, never to write or to remove. The directory itself may be a link, and
    may lie on a file system without hard links; see `actstore.access.create_only`.
    """

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
        with self._writing(path) as partial:
            _write_durably(partial, data)
            self._replace(partial, path)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists; that is atomic."""
        if self._is_there(path):  # before writing: an existing object is no error in a read-only folder
            return False
        with self._writing(path) as unfinished:
            _write_durably(unfinished, data)
            try:
                self._move(path, partial(create_only, unfinished.folder, unfinished.name))
            except FileExistsError:
                self._refuse_broken_link(path)
                return False
        return True

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        with self._writing(path) as partial:
            with open_regular(local) as source, os.fdopen(partial.file, "wb", closefd=False) as target:
                shutil.copyfileobj(source, target, _BLOCK_BYTES)
            os.fsync(partial.file)
            self._replace(partial, path)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for reading with seeks; raises `MissingObjectError`."""
        with self._translated(path):
            file = open_regular(self._root / path)
        with file:
            yield file

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder; links to folders are not followed.

        A link to a file has the size of the file; a link to nowhere or in a circle, its own.
        """
        return {path: self._size(path, status) for path, status in self._listed(prefix)}

    def sweep(self, *, large: Collection[str] = ()) -> None:  # noqa: ARG002 - files are never written in parts
        """Remove partial files whose writer on this machine has died; where nothing may be written, they stay."""
        try:
            sweep_partials(self._root)
        except OSError as error:
            if error.errno in _NOT_WRITABLE:
                return
            raise StoreError(f"{self.uri}: {PARTIAL} cannot be swept: {error.strerror or error}") from error

    def unfinished(self) -> dict[str, os.stat_result]:
        """Return the partial files, by path, without those of living writers on this machine."""
        try:
            return unfinished_partials(self._root)
        except OSError as error:
            raise StoreError(f"{self.uri}: {PARTIAL} cannot be listed: {error.strerror or error}") from error

    def delete(self, path: str) -> None:
        """Remove an object, durably in case of a power failure; it is no error if it does not exist."""
        folder, _, name = path.rpartition("/")
        try:
            with open_folder(self._root, folder) as there:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=there)
                flush_folder(there)
        except (FileNotFoundError, NotADirectoryError):  # there are no objects below an object
            return
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be removed: {error.strerror or error}") from error

    def remove_empty_folders(self, paths: Iterable[str]) -> None:
        """Remove the parent folders of removed objects, if they are empty."""
        for path in paths:
            folder = path.rpartition("/")[0]
            with suppress(OSError):  # not empty, already removed, or a link
                while folder:
                    above, _, name = folder.rpartition("/")
                    with open_folder(self._root, above) as there:
                        os.rmdir(name, dir_fd=there)
                    folder = above

    def modified(self, prefix: str = "") -> dict[str, float]:
        """Return when the objects below a folder were last written, in seconds since 1970."""
        return {path: status.st_mtime for path, status in self._listed(prefix)}

    def _listed(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield what is below a folder; the status of a link is its own.

        Raises
        ------
        CorruptObjectError
            If the path of the folder is a link to nowhere or in a circle: its objects may exist elsewhere.
        """
        if prefix and (link := broken_link(self._root, prefix)) is not None:
            raise CorruptObjectError(f"{self.uri}: {link} {_LEADS_NOWHERE}")
        for folder, folders, names in os.walk(self._root / prefix, onerror=self._unlisted):
            folders[:] = [name for name in folders if name != PARTIAL]
            relative = Path(folder).relative_to(self._root)
            for name in names:
                with suppress(FileNotFoundError):  # removed after it was listed
                    yield (relative / name).as_posix(), (Path(folder) / name).lstat()

    def _size(self, path: str, status: os.stat_result) -> int:
        if stat.S_ISLNK(status.st_mode):
            with suppress(OSError):
                return (self._root / path).stat().st_size
        return status.st_size

    def _replace(self, partial: PartialFile, path: str) -> None:
        self._move(
            path,
            lambda folder, name: os.replace(partial.name, name, src_dir_fd=partial.folder, dst_dir_fd=folder),
        )

    def _move(self, path: str, place: Callable[[int, str], None]) -> None:
        """Move a file into place; create its folder again if another process removed it while it was empty."""
        folder, _, name = path.rpartition("/")
        for last in (False,) * _ATTEMPTS + (True,):
            try:
                with open_folder(self._root, folder, create=True) as there:
                    place(there, name)
                    flush_folder(there)
                    return
            except FileNotFoundError:
                if last:
                    raise

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
            self._refuse_broken_link(path)
            raise StoreError(f"{self.uri}: object {path} cannot be written: {error.strerror or error}") from error
        if stat.S_ISDIR(mode):
            raise StoreError(f"{self.uri}: object {path} cannot be written: a folder lies in its place; remove it")
        return True

    def _refuse_broken_link(self, path: str) -> None:
        if (link := broken_link(self._root, path)) is not None:
            raise StoreError(f"{self.uri}: object {path} cannot be written: {link} {_LEADS_NOWHERE}")

    @contextmanager
    def _writing(self, path: str) -> Iterator[PartialFile]:
        try:
            with open_folder(self._root, path.rpartition("/")[0], create=True):
                pass  # before the bytes are written: a link in the way is an error
            with new_partial(self._root) as partial:
                yield partial
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be written: {error.strerror or error}") from error

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            link = broken_link(self._root, path)
            cause = "" if link is None else f": {link} {_LEADS_NOWHERE}"
            raise MissingObjectError(f"{self.uri}: object {path} is missing{cause}") from error
        except IrregularFileError as error:
            raise CorruptObjectError(
                f"{self.uri}: object {path} is not a file, but a pipe, a socket or a device; remove it"
            ) from error
        except OSError as error:
            if error.errno == errno.ELOOP and (link := broken_link(self._root, path)) is not None:
                raise CorruptObjectError(
                    f"{self.uri}: object {path} cannot be read: {link} {_LEADS_NOWHERE}"
                ) from error
            raise StoreError(f"{self.uri}: object {path} cannot be read: {error.strerror or error}") from error

    def _unlisted(self, error: OSError) -> None:
        """Raise that a folder cannot be listed; a folder that does not exist is empty and no error."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise StoreError(f"{self.uri}: {error.filename} cannot be listed: {error.strerror}") from error


def _write_durably(partial: PartialFile, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(partial.file, view) :]
    os.fsync(partial.file)
