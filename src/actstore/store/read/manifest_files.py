"""Manifest files: read from a disk or a URL, with the places of their stores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from actstore.access.open import open_objects
from actstore.errors import ManifestError, MissingObjectError
from actstore.store.format.documents import read_document
from actstore.store.read.manifest import LARGEST_MANIFEST_BYTES, Manifest, parse_manifest

__all__ = ["is_manifest_url", "read_manifest_anywhere", "read_manifest_file", "read_manifest_url"]


def is_manifest_url(source: str | os.PathLike[str]) -> bool:
    """Return whether a name is the URL of a manifest file: it ends in `.json`.

    Examples
    --------
    >>> is_manifest_url("https://host/esm2-8m.json"), is_manifest_url("https://host/esm2-8m"), is_manifest_url("a.json")
    (True, False, False)
    """
    name = os.fspath(source)
    return "://" in name and name.endswith(".json")


def read_manifest_anywhere(
    source: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None
) -> Manifest:
    """Parse and validate a manifest file on a disk or at a URL; raises `ManifestError`."""
    if is_manifest_url(source):
        return read_manifest_url(os.fspath(source), storage_options=storage_options)
    return read_manifest_file(source)


def read_manifest_file(path: str | os.PathLike[str]) -> Manifest:
    """Parse and validate a manifest file without reading its store.

    Relative places count from the folder of the file; the manifest that is returned has absolute paths.

    Raises
    ------
    ManifestError
        If it is not a valid manifest.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror}") from None
    manifest = parse_manifest(data, name=os.fspath(path))
    return _with_absolute_places(manifest, str(Path(path).absolute().parent))


def read_manifest_url(url: str, *, storage_options: Mapping[str, Any] | None = None) -> Manifest:
    """Parse and validate a manifest file at a URL, without reading its store.

    Relative places count from its folder. A manifest that names no place is that of the store in its folder.

    Raises
    ------
    ManifestError
        If it is not there, or not a valid manifest.
    """
    folder, _, name = url.rpartition("/")
    try:
        data = read_document(open_objects(folder, storage_options), name, most_bytes=LARGEST_MANIFEST_BYTES)
    except MissingObjectError:
        raise ManifestError(f"{url}: no such file") from None
    manifest = parse_manifest(data, name=url)
    if manifest.uri is None and not manifest.places and not manifest.members:
        return manifest.placed(folder)
    return _with_absolute_places(manifest, folder)


def _with_absolute_places(manifest: Manifest, folder: str) -> Manifest:
    """Return a manifest whose places, and those of its members, no longer count from the folder of its file."""
    uri = None if manifest.uri is None else _absolute(manifest.uri, folder)
    members = tuple(_with_absolute_places(member, folder) for member in manifest.members)
    placed = manifest.placed(uri, [_absolute(place, folder) for place in manifest.places])
    return placed.model_copy(update={"members": members})


def _absolute(place: str, folder: str) -> str:
    """Return a place that may be relative to the folder of its manifest."""
    return place if "://" in place or Path(place).is_absolute() else "/".join((folder, *PurePosixPath(place).parts))
