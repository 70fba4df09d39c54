"""Files that are being written, in a folder of their own below a root, until they are moved into place."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from actstore.access.below_root import open_folder
from actstore.access.scratch import holding, lock

__all__ = ["PARTIAL", "PartialFile", "is_partial", "new_partial", "sweep_partials", "unfinished_partials"]

PARTIAL: Final = ".partial"
"""Folder in which objects are written before they are moved into place."""
_PROCESS: Final = secrets.token_hex(4)
"""Distinguishes this process from a dead one with the same id; ids repeat in a restarted container."""
_ATTEMPTS: Final = 100
_NAME: Final = re.compile(r"(?P<host>.+)-(?P<pid>[0-9]{1,10})-(?P<process>[0-9a-f]{8})\.[0-9a-f]{16}")


class PartialFile(NamedTuple):
    """An open file, and its place."""

    file: int
    """Its descriptor."""
    folder: int
    """Descriptor of its folder."""
    name: str


@contextmanager
def new_partial(root: Path) -> Iterator[PartialFile]:
    """Create an empty file for one write; remove it afterwards, and its folder if no other writer needs it.

    It is locked as long as it is open, which distinguishes a living writer from a dead one: ids of processes repeat,
    and containers with one name and one disk do not see each other's processes.

    Names are never reused: a leftover may be a hard link to an object that its writer has just published.
    """
    with _created(root) as partial:
        try:
            yield partial
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial.name, dir_fd=partial.folder)
            _remove_folder(root)


def sweep_partials(root: Path) -> None:
    """Remove files whose writer on this machine has died.

    Raises
    ------
    LinkInTheWayError
        If the folder is a symbolic link.
    """
    with suppress(FileNotFoundError, NotADirectoryError), open_folder(root, PARTIAL) as folder:
        for name in os.listdir(folder):  # noqa: PTH208 - a descriptor
            with _is_dead(name, folder) as dead, suppress(FileNotFoundError):
                if dead:
                    os.unlink(name, dir_fd=folder)
        _remove_folder(root)


def unfinished_partials(root: Path) -> dict[str, os.stat_result]:
    """Return what is in the folder, by path, without the files that are known to be written at this moment.

    Raises
    ------
    LinkInTheWayError
        If the folder is a symbolic link.
    """
    found: dict[str, os.stat_result] = {}
    with suppress(FileNotFoundError, NotADirectoryError), open_folder(root, PARTIAL) as folder:
        for name in os.listdir(folder):  # noqa: PTH208 - a descriptor
            with _is_dead(name, folder) as dead, suppress(FileNotFoundError):
                if dead is not False:
                    found[f"{PARTIAL}/{name}"] = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return found


def is_partial(path: str) -> bool:
    """Return whether a path below a root is one that writers give their unfinished files.

    Examples
    --------
    >>> is_partial(".partial/node7-4711-0badcafe.0123456789abcdef"), is_partial(".partial/notes")
    (True, False)
    """
    folder, _, name = path.partition("/")
    return folder == PARTIAL and _NAME.fullmatch(name) is not None


@contextmanager
def _created(root: Path) -> Iterator[PartialFile]:
    """Yield a new file that is locked."""
    with ExitStack() as stack:
        for last in (False,) * _ATTEMPTS + (True,):
            name = f"{socket.gethostname()}-{os.getpid()}-{_PROCESS}.{secrets.token_hex(8)}"
            # Another writer may remove the folder between any two of these steps, until it holds our file.
            try:
                folder = stack.enter_context(open_folder(root, PARTIAL, create=True))
                file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
                stack.callback(os.close, file)
                # Before it is locked, another process may take it for the file of a dead one and remove it.
                locked = lock(file)
                os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                stack.close()
                if last:
                    raise
            else:
                if locked is False:
                    stack.close()
                    continue
                yield PartialFile(file, folder, name)
                return


@contextmanager
def _is_dead(name: str, folder: int) -> Iterator[bool | None]:
    """Yield whether the writer of a file has died; None if that cannot be known, or no writer gives such names.

    The lock is held meanwhile: a writer that has just made the file, and has not locked it yet, then makes another.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        yield None
        return
    with ExitStack() as stack:
        held: bool | None = None
        with suppress(OSError):  # gone, or not a file that a writer makes
            held = stack.enter_context(holding(name, folder=folder))
        if held is False:
            yield False
        elif match["host"] != socket.gethostname():
            yield None
        else:
            yield True if held else not _is_alive(int(match["pid"]), match["process"])


def _is_alive(pid: int, process: str) -> bool:
    """Return whether a process of this machine lives, where the file system has no locks."""
    if pid == os.getpid():
        return process == _PROCESS
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove_folder(root: Path) -> None:
    with suppress(OSError), open_folder(root) as above:  # not empty, or already removed
        os.rmdir(PARTIAL, dir_fd=above)
