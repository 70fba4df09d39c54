"""Bytes kept on local disk under a name, within a limit, by any number of processes; the least recently used go first.

Entries are written under another name and renamed, so a reader sees whole entries. They may be removed at any time.
Symbolic links in the folder are neither followed nor trusted: an entry behind one does not exist.
Nothing is flushed: after a power failure or a disk error an entry may be damaged, so readers must check each entry.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from actstore.access.below_root import open_folder
from actstore.access.regular_files import open_regular
from actstore.errors import StoreError

__all__ = ["CacheFolder"]

_SUBFOLDER: Final = "actstore-cache-1"
"""Holds all entries, so that other files in the folder of the user are never counted or removed."""
_NAME_LETTERS: Final = frozenset("0123456789abcdef")
_NAME_LENGTH: Final = 64
_PARTIAL: Final = ".partial-"
"""Prefix of the name of an entry that is being written; its size follows."""
_PARTIAL_LIVES_S: Final = 3600.0
_MOST_DIGITS: Final = 30
_KEPT: Final = 0.9
"""Share of the limit that is left after eviction: it lists the whole folder, so it should be rare."""


class CacheFolder:
    """A folder of entries. Threads and processes may share it, also with different limits.

    Parameters
    ----------
    folder
        Created if it does not exist.
    most_bytes
        Limit for the content of all entries together.

    Raises
    ------
    StoreError
        If the folder cannot be made or written.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder.expanduser().absolute()
        self._entries = self._folder / _SUBFOLDER
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        with self._usable():
            with open_folder(self._folder, _SUBFOLDER, create=True):
                pass
            with self._locked():
                self._set_used(self._make_room(most_bytes))

    def get(self, name: str, *, most_bytes: int | None = None) -> bytes | None:
        """Return an entry and mark it as most recently used; None if it does not exist or cannot be read.

        Parameters
        ----------
        name
            64 hexadecimal digits.
        most_bytes
            Largest possible size, at most the limit of the folder. A larger entry is not read.
        """
        place = self._place(name)
        most_bytes = self._most_bytes if most_bytes is None else min(most_bytes, self._most_bytes)
        try:
            with open_regular(place, buffering=0, follow=False) as file:
                if place.parent.is_symlink() or os.fstat(file.fileno()).st_size > most_bytes:
                    return None
                data = file.read(most_bytes + 1)
                with suppress(OSError):
                    os.utime(file.fileno())
        except OSError:  # removed, not a file, or a failing disk: as if it was never kept
            return None
        return data

    def put(self, name: str, data: bytes) -> None:
        """Keep an entry; older entries may be removed. It is not kept if entries being written fill the limit.

        Raises
        ------
        StoreError
            If it cannot be written.
        ValueError
            If it alone is larger than the limit.
        """
        if len(data) > self._most_bytes:
            raise ValueError(f"an entry of {len(data):,} bytes in a cache of {self._most_bytes:,}")
        place = self._place(name)
        partial = self._entries / f"{_PARTIAL}{len(data)}-{secrets.token_hex(16)}"
        with self._usable():
            # Counted before it is written: a process killed in between leaves the count too high, never too low.
            with self._locked():
                used = self._used()
                if used + len(data) > self._most_bytes:
                    used = self._make_room(int(_KEPT * self._most_bytes) - len(data))
                if used + len(data) > self._most_bytes:
                    self._set_used(used)
                    return
                self._set_used(used + len(data))
                partial.touch()
            try:
                partial.write_bytes(data)
                # A concurrent count must find the entry under one of its two names.
                with self._locked(), suppress(FileExistsError, IsADirectoryError, NotADirectoryError):
                    place.parent.mkdir(exist_ok=True)
                    if not place.parent.is_symlink():
                        partial.replace(place)
            finally:
                partial.unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Remove an entry."""
        place = self._place(name)
        with suppress(OSError):
            if not place.parent.is_symlink():
                place.unlink()

    def _place(self, name: str) -> Path:
        return self._entries / name[:2] / name

    def _make_room(self, allowed: int) -> int:
        """Remove the least recently used entries until the rest fits; return the bytes of the rest.

        The rest includes entries that are being written.
        """
        found: list[tuple[int, int, str]] = []
        used = 0
        for entry in self._listed():
            if entry.name.startswith(_PARTIAL):
                used += _announced_bytes(entry.name)
                continue
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    found.append((status.st_mtime_ns, status.st_size, entry.path))
                    used += status.st_size
        for _, size, path in sorted(found):
            if used <= allowed:
                break
            with suppress(OSError):  # an entry that cannot be removed stays counted
                Path(path).unlink(missing_ok=True)
                used -= size
        return used

    def _listed(self) -> Iterator[os.DirEntry[str]]:
        """Yield all entries, also those being written, and remove partial files of killed writers."""
        with os.scandir(self._entries) as folders:
            for folder in folders:
                if folder.name.startswith(_PARTIAL):
                    with suppress(OSError):
                        if time.time() - folder.stat(follow_symlinks=False).st_mtime > _PARTIAL_LIVES_S:
                            Path(folder.path).unlink()
                            continue
                    yield folder
                elif folder.is_dir(follow_symlinks=False) and _is_hex(folder.name, 2):
                    found: list[os.DirEntry[str]] = []
                    with suppress(OSError), os.scandir(folder.path) as entries:
                        found += entries
                    yield from (entry for entry in found if _is_hex(entry.name, _NAME_LENGTH))

    def _used(self) -> int:
        try:
            with open_regular(self._entries / "used", follow=False) as file:
                return int(file.read(_MOST_DIGITS))
        except (OSError, ValueError):
            return self._make_room(self._most_bytes)

    def _set_used(self, used: int) -> None:
        place = self._entries / "used"
        if (
            place.is_symlink() or not place.is_file()
        ):  # remove anything else with this name; without the count, all entries are counted
            with suppress(OSError):
                place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
        with suppress(IsADirectoryError):
            place.write_text(str(used))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other threads and processes; the system releases the lock of a killed process."""
        with self._lock, open_folder(self._folder, _SUBFOLDER) as folder:
            lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666, dir_fd=folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the cache in {self._folder} cannot be used: {error.strerror or error}; give another folder, or "
                "fewer bytes if its disk is full"
            ) from error


def _is_hex(name: str, length: int) -> bool:
    return len(name) == length and _NAME_LETTERS.issuperset(name)


def _announced_bytes(partial: str) -> int:
    size = partial.removeprefix(_PARTIAL).partition("-")[0]
    return int(size) if size.isdecimal() else 0
