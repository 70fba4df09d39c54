"""Folders opened one by one from a root, without following links: what is written or removed there lies below the root.

A path is resolved by the kernel at each step, relative to the folder that is already open. So it does not matter when
somebody puts a link into the path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["LinkInTheWayError", "broken_link", "open_folder"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class LinkInTheWayError(OSError):
    """A symbolic link in the place of a folder in which something was to be written or removed."""

    def __init__(self, link: str) -> None:
        super().__init__(
            errno.ELOOP,
            f"{link} is a symbolic link, and nothing is written or removed through a link; move the folder that it "
            "leads to into its place, or remove the link",
            link,
        )


@contextmanager
def open_folder(root: Path, folder: str = "", *, create: bool = False) -> Iterator[int]:
    """Open a folder below a root; yields its descriptor.

    Parameters
    ----------
    root
        Itself it may be reached through links.
    folder
        Relative path with forward slashes; empty for the root.
    create
        Whether to make the root and all folders that do not exist.

    Raises
    ------
    LinkInTheWayError
        If a part of the path below the root is a symbolic link.
    OSError
        If a folder cannot be opened or made, or the path leads out of the root.
    """
    parts = [part for part in folder.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise OSError(errno.EINVAL, "the path leads out of the folder", folder)
    try:
        descriptor = os.open(root, _FOLDER)
    except FileNotFoundError:
        if not create:
            raise
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root, _FOLDER)
    try:
        for depth, name in enumerate(parts, start=1):
            below = _enter(descriptor, name, "/".join(parts[:depth]), create=create)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def broken_link(root: Path, path: str) -> str | None:
    """Return the first part of a path that is a symbolic link to nowhere, or in a circle; None if there is none."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:depth])
        if place.is_symlink():
            try:
                place.stat()
            except OSError:
                return "/".join(parts[:depth])
    return None


def _enter(descriptor: int, name: str, path: str, *, create: bool) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
    except FileNotFoundError:
        if not create:
            raise
    except OSError as error:
        if _is_link(descriptor, name):
            raise LinkInTheWayError(path) from error
        raise
    with suppress(FileExistsError):  # another writer has made it
        os.mkdir(name, dir_fd=descriptor)
    return _enter(descriptor, name, path, create=False)


def _is_link(descriptor: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    except OSError:
        return False
