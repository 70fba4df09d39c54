"""Share a store: export one file that names, describes and identifies it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actstore.access.credentials import refuse_credentials
from actstore.access.local import LocalObjects
from actstore.access.objects import ObjectStore
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError, ManifestError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store

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
    manifest, objects = locate_store(source, storage_options=storage_options)
    if not manifest.complete:
        raise IncompleteStoreError(
            f"{objects.uri}: {manifest.tasks_done} of {manifest.frozen.tasks} tasks are extracted; "
            "finish with 'actstore extract' before sharing"
        )
    place = uri or _from_the_file(objects, Path(out))
    refuse_credentials(place, name="uri")
    manifest.frozen.recipe.refuse_credentials(name=f"{objects.uri}: its recipe")
    try:
        with Path(out).open("xb") as file:
            try:
                file.write(manifest.to_json(uri=place))
            except BaseException:  # also an interruption: half a manifest would be in the way of the next one
                Path(out).unlink()
                raise
    except FileExistsError:
        raise ManifestError(f"{out} exists; choose another name or remove it") from None
    except OSError as error:
        raise ManifestError(f"{out}: cannot be written: {error.strerror}") from None
    return manifest.model_copy(update={"uri": uri or objects.uri})


def _from_the_file(objects: ObjectStore, file: Path) -> str:
    """Return the path of a store from the folder of a file, or its whole address if it does not lie below."""
    if not isinstance(objects, LocalObjects):
        return objects.uri
    # Without links, since a link may lead somewhere else after the move.
    store, folder = Path(objects.uri).resolve(), file.parent.resolve()
    return f"./{store.relative_to(folder).as_posix()}" if store.is_relative_to(folder) else objects.uri
