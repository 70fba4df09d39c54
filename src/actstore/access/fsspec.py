"""Any fsspec filesystem as an object store: transient failures are retried, errors name their object."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TypeVar, cast

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from actstore.access.filesystems import Answer, answer_of, backend_errors, describe_error, written_at
from actstore.access.retrying import Retries
from actstore.errors import MissingObjectError, StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FsspecObjects"]

_READ_AHEAD_BYTES: Final = 1 << 20
"""For files read in pieces: a few requests get the footer and the small columns of a Parquet file."""
_NO_BUCKET: Final = "NoSuchBucket"
_creating = threading.Lock()
_Result = TypeVar("_Result")
_Doing = Literal["read", "written", "sent", "listed", "removed"]


class FsspecObjects:
    """Any fsspec filesystem whose single puts are atomic and which can create without replacing.

    Parameters
    ----------
    filesystem, root
        From `fsspec.core.url_to_fs`.
    retries
        How often an operation is tried while the storage has transient failures.
    secrets
        Values that must not appear in messages.
    """

    def __init__(
        self,
        filesystem: fsspec.AbstractFileSystem,
        root: str,
        *,
        retries: Retries | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")
        self._retries = retries or Retries()
        self._secrets = secrets

    @property
    def uri(self) -> str:
        """The URL of the root, without credentials."""
        return str(self._fs.unstrip_protocol(self._root))

    def get(self, path: str) -> bytes:
        """Return an object; raises `MissingObjectError`."""
        return self._do(path, lambda: self._read(path))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return bytes [start, stop) of an object; raises `MissingObjectError`."""
        return self._do(path, lambda: self._read_range(path, start, stop))

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        """Read bytes from `start` on into memory; return how many there were. Raises `MissingObjectError`."""
        return self._do(path, lambda: self._read_into(path, start, into))

    def put(self, path: str, data: bytes) -> None:
        """Write or replace an object."""
        self._do(path, lambda: self._write(path, data), doing="written")

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists.

        If the answer to an attempt was lost, the attempt may have written the object and the next one finds it. So the
        object counts as written if it has these bytes, no matter who wrote them.
        """
        try:
            self._do(path, lambda: self._create(path, data), doing="written")
        except FileExistsError:
            with suppress(MissingObjectError):
                return self.get(path) == data
            return False
        return True

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file."""
        self._do(path, lambda: self._fs.put_file(str(local), self._full(path)), doing="written")

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open an object for reading with seeks; raises `MissingObjectError`."""
        size = self._do(path, lambda: self._size(path))
        with io.BufferedReader(_ObjectFile(self, path, size), _READ_AHEAD_BYTES) as file:
            yield cast("BinaryIO", file)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the paths and sizes of all objects below a folder."""
        return {path: self._known(path, entry["size"]) for path, entry in self._entries(prefix)}

    def delete(self, path: str) -> None:
        """Remove an object; it is no error if there is none."""
        with suppress(MissingObjectError):
            self._do(path, lambda: self._fs.rm_file(self._full(path)), doing="removed")

    def modified(self, prefix: str = "") -> dict[str, float]:
        """Return when the objects below a folder were last written, in seconds since 1970, if the storage tells."""
        times = ((path, written_at(entry)) for path, entry in self._entries(prefix))
        return {path: written_s for path, written_s in times if written_s is not None}

    def sweep(self, *, large: Collection[str] = ()) -> None:
        """Do nothing: interrupted writers leave nothing, because objects are written as a whole."""

    # One attempt each; subclasses for a kind of storage may improve these.

    def _read(self, path: str) -> bytes:
        return cast("bytes", self._fs.cat_file(self._full(path)))

    def _read_range(self, path: str, start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        data = cast("bytes", self._fs.cat_file(self._full(path), start=start, end=stop))
        if len(data) > stop - start:
            raise StoreError(
                f"{self._name(path)} cannot be read: asked for bytes {start}-{stop - 1}, the storage sends "
                f"{len(data):,} bytes; use storage that can read parts of an object"
            )
        return data

    def _read_into(self, path: str, start: int, into: memoryview) -> int:
        data = self._read_range(path, start, start + len(into))
        into[: len(data)] = data
        return len(data)

    def _size(self, path: str) -> int:
        facts = self._fs.info(self._full(path))
        if facts["type"] != "file":
            raise FileNotFoundError(path)
        return self._known(path, facts["size"])

    def _known(self, path: str, size: int | None) -> int:
        if size is None:
            raise StoreError(
                f"{self._name(path)} cannot be read: the storage does not say its size; use storage that does"
            )
        return int(size)

    def _write(self, path: str, data: bytes) -> None:
        self._fs.pipe_file(self._full(path), data)

    def _create(self, path: str, data: bytes) -> None:
        """Create an object; raise FileExistsError if there is one."""
        # The in-memory filesystem checks and then writes. It exists only in this process, so a lock is enough.
        with _creating if isinstance(self._fs, MemoryFileSystem) else nullcontext():
            self._fs.pipe_file(self._full(path), data, mode="create")

    def _entries(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield path and listing entry of every object below a folder, without cached listings."""
        root = str(self._fs._strip_protocol(self._root)).rstrip("/")  # noqa: SLF001 - how fsspec spells a path
        folder = self._full(prefix).rstrip("/")

        def find() -> dict[str, dict[str, Any]]:
            # Include objects that other processes wrote since the last listing.
            self._fs.invalidate_cache(folder)
            return cast("dict[str, dict[str, Any]]", self._fs.find(folder, detail=True))

        for name, entry in self._do(f"{prefix}/", find, doing="listed").items():
            yield name[len(root) + 1 :], entry

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _name(self, path: str) -> str:
        return f"{self.uri}: object {path}" if path.strip("/") else self.uri

    def _describe(self, error: Exception) -> str:
        return describe_error(error, self._secrets)

    def _do(self, path: str, act: Callable[[], _Result], *, doing: _Doing = "read") -> _Result:
        """Do an operation on an object, with retries, and translate its errors.

        Errors are raised without their cause, because the text of the cause may hold credentials.
        """
        name = self._name(path)
        try:
            return self._retries.run(act, name=name, describe=self._describe)
        except FileExistsError:
            raise
        except backend_errors() as error:
            if any(answer is not None and answer.code == _NO_BUCKET for answer in _answers(error)):
                bucket = self._root.partition("/")[0]
                raise StoreError(
                    f"{name} cannot be {doing}: bucket {bucket} does not exist; create it, or check the name and "
                    f"endpoint ({_NO_BUCKET})"
                ) from None
            if isinstance(error, FileNotFoundError | IsADirectoryError) and doing != "written":
                raise MissingObjectError(f"{name} is missing") from None
            raise StoreError(f"{name} cannot be {doing}: {self._describe(error)}") from None


def _answers(error: BaseException) -> Iterator[Answer | None]:
    """Yield the answers of a server in an exception and its causes."""
    yield answer_of(error)
    if error.__cause__ is not None:
        yield answer_of(error.__cause__)


class _ObjectFile(io.RawIOBase):
    """An object as a readable, seekable file; every read is a range request."""

    def __init__(self, objects: FsspecObjects, path: str, size: int) -> None:
        super().__init__()
        self._objects = objects
        self._path = path
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def readinto(self, into: Buffer) -> int:
        memory = memoryview(into).cast("B")[: max(self._size - self._position, 0)]
        if not memory:
            return 0
        found = self._objects.read_into(self._path, self._position, memory)
        self._position += found
        return found
