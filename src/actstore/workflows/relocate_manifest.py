"""Tell a manifest file where its store is now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actstore.access.credentials import refuse_credentials
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import UsageError
from actstore.store.read.manifest import Manifest
from actstore.store.read.manifest_files import read_manifest_file
from actstore.store.read.open import find_store
from actstore.workflows.manifest_files import place_from_file, write_manifest_file

__all__ = ["relocate_manifest"]


@with_keyword_hints
def relocate_manifest(
    file: str | os.PathLike[str],
    uri: str,
    *,
    member: int | None = None,
    places: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a manifest file anew with the place where its store is now; its digest stays the same.

    Parameters
    ----------
    file
        A manifest file on a disk.
    uri
        Path or URL of the store. A relative path counts from where you are; if the store lies below the folder of the
        file that is written, the file has the path from there.
    member
        Number of the store of a merge that moved, from 1 on; the others stay where they are.
    places
        Further places with the same store; readers try them in turn.
    out
        New file to write; None replaces `file`.
    storage_options
        Passed to fsspec.

    Raises
    ------
    ManifestError
        If the file is no manifest, the store there has other content, or the new file exists or cannot be written.
    StoreNotFoundError
        If there is no store.
    UsageError
        If a place holds credentials, a merge has no such store, or `member` is missing for a merge.
    """
    for place in (uri, *places):
        refuse_credentials(place, name="uri")
    described, written = read_manifest_file(file), Path(file if out is None else out)
    moved = _moved(described, member, name=os.fspath(file)).placed(uri)
    objects = find_store(moved, name=os.fspath(file), storage_options=storage_options)
    document = moved.placed(place_from_file(objects.uri, written), places)
    if member is not None:
        members = [_placed_from(one, written) for one in described.members]
        members[member - 1] = document
        document = described.model_copy(update={"members": tuple(members)})
    write_manifest_file(written, document.to_json(uri=document.uri, places=document.places), replace=out is None)
    return read_manifest_file(written)


def _moved(manifest: Manifest, member: int | None, *, name: str) -> Manifest:
    """Return the manifest of the store that moved."""
    if not manifest.members and member is not None:
        raise UsageError(f"{name} is no merge, and describes one store: leave out member (--member)")
    if manifest.members and (member is None or not 1 <= member <= len(manifest.members)):
        there = "".join(f"\n  {number}: {one.uri}" for number, one in enumerate(manifest.members, start=1))
        raise UsageError(f"{name} is a merge: say by its number which of its stores moved (--member):{there}")
    return manifest if member is None else manifest.members[member - 1]


def _placed_from(manifest: Manifest, file: Path) -> Manifest:
    """Return a manifest whose places count from the folder of a file, if they lie there."""
    uri = None if manifest.uri is None else place_from_file(manifest.uri, file)
    return manifest.placed(uri, [place_from_file(place, file) for place in manifest.places])
