"""Pages as files: outside of every store, and whole or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

from actstore.errors import UsageError
from actstore.store.read.place import refuse_in_store

__all__ = ["check_page_file", "write_page_file"]


def check_page_file(path: Path) -> None:
    """Refuse a place that `write_page_file` would refuse, before anything is read.

    Raises
    ------
    UsageError
        If it lies in a store, has no folder, or is there and no file.
    """
    try:
        refuse_in_store(path, "--html")
        if not path.parent.is_dir():
            raise UsageError(f"--html {path}: cannot be written: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise UsageError(f"--html {path}: is there, and no file; give the name of a file")
    except OSError as error:  # such as a name that is too long
        raise UsageError(f"--html {path}: cannot be written: {error.strerror or error}") from None


def write_page_file(path: Path, text: str) -> None:
    """Write a page; a file of that name is replaced.

    Raises
    ------
    UsageError
        As `check_page_file`, or if it cannot be written.
    """
    check_page_file(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
            except BaseException:  # also an interruption: half a page would be left
                draft.unlink()
                raise
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"--html {path}: cannot be written: {error.strerror or error}") from None
