"""Share a store: export one file that names, describes and identifies it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.workflows.manifest_files import check_manifest_file, share_manifest

__all__ = ["export_manifest"]


@with_keyword_hints
def export_manifest(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    uri: str | None = None,
    places: Sequence[str] = (),
    storage_options: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a manifest file that is enough by itself to read, check and cite a store.

    If the store lies in the file's folder, or below it, the file has the path from there: both may move together.
    Otherwise it has the absolute path, or the URL.

    Parameters
    ----------
    source
        Path or URL of the store.
    out
        File to write; it must not exist.
    uri
        Where readers will find the store, if not where it is found now. A relative path counts from the file's folder.
    places
        Further places with the same store, such as a mirror; readers try them in turn.
    storage_options
        Passed to fsspec.

    Raises
    ------
    IncompleteStoreError
        If the extraction has not finished.
    UsageError
        If the place, or an address in the recipe of the store, holds credentials.
    ManifestError
        If the file exists or cannot be written.
    """
    check_manifest_file(Path(out), replace=False)
    manifest, objects = locate_store(source, storage_options=storage_options)
    if not manifest.complete:
        raise IncompleteStoreError(
            f"{objects.uri}: {manifest.tasks_done} of {len(manifest.tasks)} tasks are there; "
            f"finish with {manifest.frozen.how_to_finish} before sharing"
        )
    return share_manifest(manifest, objects, Path(out), uri=uri, places=places)
