"""Tell a manifest file where its store is now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actstore.access.credentials import refuse_credentials
from actstore.contracts.suggest import with_keyword_hints
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
    places: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a manifest file anew with the place where its store is now; its digest stays the same.

    Parameters
    ----------
    file
        A manifest file.
    uri
        Path or URL of the store. A relative path counts from where you are; if the store lies below the folder of the
        file that is written, the file has the path from there.
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
        If a place holds credentials.
    """
    for place in (uri, *places):
        refuse_credentials(place, name="uri")
    described = read_manifest_file(file).model_copy(update={"uri": uri, "places": ()})
    objects = find_store(described, name=os.fspath(file), storage_options=storage_options)
    written = Path(file if out is None else out)
    document = described.to_json(uri=place_from_file(objects, written), places=places)
    write_manifest_file(written, document, replace=out is None)
    return described.model_copy(update={"uri": objects.uri, "places": tuple(places)})
