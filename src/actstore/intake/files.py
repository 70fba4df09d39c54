"""The files of a folder: found, read and digested."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.contracts.progress import Progress
from actstore.errors import SourceError

__all__ = ["digest_files", "files_below", "files_of_one_folder", "name_in", "read_json", "shown"]

_MOST_FILES: Final = 10_000_000
_MOST_JSON_BYTES: Final = 1 << 24
_BLOCK_BYTES: Final = 1 << 22
_NUMBER: Final = re.compile(r"([0-9]+)")


def shown(path: Path) -> str:
    """Return a path, safe to show."""
    return printable(str(path))


def name_in(place: Path, path: Path) -> str:
    """Return the path of a file below a source; its name if it is the source."""
    return path.name if path == place else path.relative_to(place).as_posix()


def files_below(place: Path, *suffixes: str) -> list[Path]:
    """Return the regular files with some suffixes below a folder, or the file itself.

    They come in natural order of their paths: `shard_2` before `shard_10`. Hidden files and folders are left out.

    Raises
    ------
    SourceError
        If the place does not exist, cannot be listed, or has too many files.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SourceError(f"{shown(place)}: no such file or folder; sources are local: copy them here first")
    found: list[Path] = []
    for folder, inner, names in os.walk(place, onerror=_raise):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files = (Path(folder, name) for name in names if name.endswith(suffixes) and not name.startswith("."))
        found += [path for path in files if path.is_file()]
        if len(found) > _MOST_FILES:
            raise SourceError(f"{shown(place)}: more than {_MOST_FILES:,} files; import its folders one by one")
    return sorted(found, key=lambda path: _natural(name_in(place, path)))


def files_of_one_folder(place: Path, *suffixes: str) -> list[Path]:
    """Return `files_below`, which must lie in one folder: several may be shards of one site, or its neighbours.

    Raises
    ------
    SourceError
        If they lie in several folders; and as `files_below`.
    """
    files = files_below(place, *suffixes)
    folders = sorted({path.parent for path in files})
    if len(folders) > 1:
        names = ", ".join(printable(name_in(place, folder)) for folder in folders[:3])
        raise SourceError(
            f"{shown(place)}: its files lie in {len(folders):,} folders ({names}): if each is a site of the same rows, "
            "give SITE=FOLDER for each; if they are shards of one site, put them into one folder"
        )
    return files


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a small JSON file.

    Raises
    ------
    SourceError
        If it cannot be read or is something else.
    """
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_JSON_BYTES + 1)
        document = json.loads(data) if len(data) <= _MOST_JSON_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{shown(path)}: cannot be read as JSON: {printable(str(error))}") from error
    if not isinstance(document, dict):
        raise SourceError(f"{shown(path)}: wanted a JSON object of at most {_MOST_JSON_BYTES:,} bytes")
    return document


def digest_files(place: Path, files: Sequence[Path], *, progress: Progress) -> str:
    """Read all files of a source and return the digest that `ImportFacts` records.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    named = sorted((name_in(place, path), path) for path in files)
    digest = hashlib.sha256()
    try:
        total = sum(path.stat().st_size for _, path in named)
        with progress.stage("reading the source", total=total, unit="bytes") as stage:
            for name, path in named:
                size, of_file = 0, hashlib.sha256()
                with open_regular(path, buffering=0) as file:
                    while block := file.read(_BLOCK_BYTES):
                        of_file.update(block)
                        size += len(block)
                        stage.advance(len(block))
                digest.update(f"{name}\0{size}\0{of_file.hexdigest()}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise SourceError(f"{printable(str(error.filename or place))}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which numbers in names are numbers."""
    parts = enumerate(_NUMBER.split(name))
    return [(1, int(part), part) if index % 2 else (0, 0, part) for index, part in parts]


def _raise(error: OSError) -> None:
    raise SourceError(f"{printable(str(error.filename))}: cannot be listed: {error.strerror}") from error
