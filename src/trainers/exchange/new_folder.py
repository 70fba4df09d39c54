"""A new folder that is complete or absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actstore import errors
from trainers.save.files import flush_to_disk, writing_to

__all__ = ["new_folder"]


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which gets its name when all is written; nothing stays after an error.

    Raises
    ------
    UsageError
        If the folder exists and is not empty.
    TrainingError
        If it cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise errors.UsageError(f"{path} exists; nothing is overwritten, give another folder")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            for one in sorted(partial.rglob("*")):
                flush_to_disk(one)
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
