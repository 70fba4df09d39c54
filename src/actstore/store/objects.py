"""Object storage: a local directory, or anything fsspec reaches."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from actstore.contracts.filesystems import backend_errors, describe_error
from actstore.contracts.objects import ObjectStore
from actstore.errors import MissingObjectError, StoreError

__all__ = ["FsspecObjects", "LocalObjects", "open_objects"]

PARTIAL: Final = ".partial"
_PROCESS: Final = secrets.token_hex(4)
"""Tells this process from a dead one with the same id: in a restarted container ids repeat."""
_creating = threading.Lock()


def open_objects(uri: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> ObjectStore:
    """Return the object store at a path or fsspec URL; nothing is created or read yet.

    Raises
    ------
    StoreError
        If the URL's protocol is unknown or its package is not installed.
    """
    text = os.fspath(uri)
    try:
        filesystem, root = url_to_fs(text, **(storage_options or {}))
    except (ImportError, ValueError, OSError) as error:
        raise StoreError(f"{text}: cannot be opened: {error}") from error
    if isinstance(filesystem, LocalFileSystem):
        return LocalObjects(Path(root))
    return FsspecObjects(filesystem, root)


class LocalObjects:
    """A directory. Objects are written beside the data, flushed to disk, and renamed or linked into place."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        """The absolute path of the directory."""
        return str(self._root)

    def local_path(self, path: str) -> Path:
        """Return where an object lies on this machine."""
        return self._root / path

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        with self._translated(path):
            return (self._root / path).read_bytes()

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object; raises `MissingObjectError`."""
        with self._translated(path), (self._root / path).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), stop - start, start)

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        found = 0
        with self._translated(path), (self._root / path).open("rb", buffering=0) as file:
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
        with self._partial(path) as partial:
            if target.exists():
                return False
            _write_durably(partial, data)
            try:
                target.hardlink_to(partial)
                _flush_folder(target.parent)
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
            file = (self._root / path).open("rb")
        with file:
            yield file

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder."""
        found: dict[str, int] = {}
        for folder, folders, names in os.walk(self._root / prefix, onerror=self._unlisted):
            folders[:] = [name for name in folders if name != PARTIAL]
            relative = Path(folder).relative_to(self._root)
            for name in names:
                found[(relative / name).as_posix()] = (Path(folder) / name).stat().st_size
        return found

    def sweep(self) -> None:
        """Remove partial files whose writer on this machine has died."""
        folder = self._root / PARTIAL
        if not folder.is_dir():
            return
        for partial in folder.iterdir():
            match partial.name.rsplit("-", 2):
                case [host, pid, name] if pid.isdecimal() and host == socket.gethostname():
                    if not _alive(int(pid), name):
                        partial.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def _publish(self, partial: Path, path: str) -> None:
        target = self._root / path
        partial.replace(target)
        _flush_folder(target.parent)

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

        No name is ever used twice: a leftover may be a hard link to an object that its writer had just published.
        """
        folder = self._root / PARTIAL
        partial = folder / f"{socket.gethostname()}-{os.getpid()}-{_PROCESS}.{secrets.token_hex(8)}"
        while True:
            # Another writer may remove the folder between any two of these steps, until our file is in it.
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
        except OSError as error:
            raise StoreError(f"{self.uri}: object {path} cannot be read: {error.strerror or error}") from error

    def _unlisted(self, error: OSError) -> None:
        """Say that a folder cannot be listed, but for one that is not there and so holds nothing."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise StoreError(f"{self.uri}: {error.filename} cannot be listed: {error.strerror}") from error


class FsspecObjects:
    """Any fsspec filesystem whose single puts are atomic and which can create without replacing."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    @property
    def uri(self) -> str:
        """The URL of the root, without credentials."""
        return str(self._fs.unstrip_protocol(self._root))

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        with self._translated(path):
            return cast("bytes", self._fs.cat_file(self._full(path)))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object; raises `MissingObjectError`."""
        with self._translated(path):
            return cast("bytes", self._fs.cat_file(self._full(path), start=start, end=stop))

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        data = self.get_range(path, start, start + len(into))
        into[: len(data)] = data
        return len(data)

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object."""
        with self._translated(path):
            self._fs.pipe_file(self._full(path), data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists."""
        # The in-memory filesystem looks and then writes; it exists in this process alone, where a lock is enough.
        alone = _creating if isinstance(self._fs, MemoryFileSystem) else nullcontext()
        with self._translated(path), alone:
            try:
                self._fs.pipe_file(self._full(path), data, mode="create")
            except FileExistsError:
                return False
        return True

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        with self._translated(path):
            self._fs.put_file(str(local), self._full(path))

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for reading with seeks; raises `MissingObjectError`."""
        with self._translated(path):
            file = self._fs.open(self._full(path), "rb")
        with file:
            yield file

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder."""
        root = str(self._fs._strip_protocol(self._root)).rstrip("/")  # noqa: SLF001 - how fsspec spells a path
        folder = self._full(prefix).rstrip("/")
        with self._translated(prefix):
            # What other processes have written since the last listing counts too.
            self._fs.invalidate_cache(folder)
            entries = self._fs.find(folder, detail=True)
        return {name[len(root) + 1 :]: int(entry["size"]) for name, entry in entries.items()}

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MissingObjectError(f"{self.uri}: object {path} is missing") from error
        except backend_errors() as error:
            raise StoreError(f"{self.uri}: object {path}: {describe_error(error)}") from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power failure."""
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
