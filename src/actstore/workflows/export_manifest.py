"""Share a store: export one file that names, describes and identifies it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError, ManifestError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import open_store

__all__ = ["export_manifest"]


@with_keyword_hints
def export_manifest(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a manifest file that is enough by itself to read, check and cite a store.

    Parameters
    ----------
    source
        Path or URL of the store.
    out
        File to write; it must not exist.
    uri
        Where readers will find the store, if not where it is found now.
    storage_options
        Passed to fsspec.

    Raises
    ------
    IncompleteStoreError
        If the extraction has not finished.
    ManifestError
        If the file exists or cannot be written.
    """
    manifest, objects = open_store(source, storage_options=storage_options)
    if not manifest.complete:
        raise IncompleteStoreError(
            f"{objects.uri}: {manifest.tasks_done} of {manifest.frozen.tasks} tasks are extracted; "
            "finish with 'actstore extract' before sharing"
        )
    place = uri or objects.uri
    try:
        with Path(out).open("xb") as file:
            file.write(manifest.to_json(uri=place))
    except FileExistsError as error:
        raise ManifestError(f"{out} exists; choose another name or remove it") from error
    except OSError as error:
        raise ManifestError(f"{out}: cannot be written: {error.strerror}") from error
    return manifest.model_copy(update={"uri": place})
