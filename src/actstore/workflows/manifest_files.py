"""Manifest files: how they name a store, and how they are written."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from actstore.access.credentials import refuse_credentials
from actstore.access.objects import ObjectStore
from actstore.errors import ManifestError
from actstore.store.read.manifest import Manifest, parse_manifest

__all__ = ["check_manifest_file", "place_from_file", "share_manifest", "write_manifest_file"]


def share_manifest(
    manifest: Manifest, objects: ObjectStore, out: Path, *, uri: str | None, places: Sequence[str]
) -> Manifest:
    """Write a new manifest file with the places of its store; return the manifest with its places.

    Parameters
    ----------
    manifest, objects
        What to write, and the store.
    out
        File to write; it must not exist.
    uri, places
        Where readers will find the store, if not where it is found now; and further places.

    Raises
    ------
    UsageError
        If a place, or an address in the recipe of the store, holds credentials.
    ManifestError
        If the file exists or cannot be written.
    """
    place = uri or place_from_file(objects.uri, out)
    for one in (place, *places):
        refuse_credentials(one, name="uri")
    manifest.frozen.recipe.refuse_credentials(name=f"{objects.uri}: its recipe")
    write_manifest_file(out, manifest.to_json(uri=place, places=places), replace=False)
    return manifest.model_copy(update={"uri": uri or objects.uri, "places": tuple(places)})


def place_from_file(uri: str, file: Path) -> str:
    """Return the path of a store from the folder of a file, or its whole address if it does not lie below."""
    if "://" in uri:
        return uri
    # Without links, since a link may lead somewhere else after the move.
    store, folder = Path(uri).resolve(), file.parent.resolve()
    if store.is_relative_to(folder):
        return f"./{store.relative_to(folder).as_posix()}"
    return str(store) if ".." in Path(uri).parts else uri


def check_manifest_file(path: Path, *, replace: bool) -> None:
    """Refuse a file that could not be written, before anything is read for it; raises as `write_manifest_file`."""
    if path.exists() and not replace:
        raise ManifestError(f"{path} exists; choose another name or remove it")
    if not path.parent.is_dir():
        raise ManifestError(f"{path}: cannot be written: there is no folder {path.parent}")


def write_manifest_file(path: Path, document: bytes, *, replace: bool) -> None:
    """Write a file, complete or not at all.

    Raises
    ------
    ManifestError
        If nobody could read it, such as a place on a web server without https; if it exists and is not to be replaced,
        or cannot be written.
    """
    check_manifest_file(path, replace=replace)
    parse_manifest(document, name=str(path))
    target = path.with_name(f".{path.name}.{secrets.token_hex(4)}") if replace else path
    try:
        with target.open("xb") as file:
            try:
                file.write(document)
            except BaseException:  # also an interruption: half a manifest would be in the way of the next one
                target.unlink()
                raise
        if replace:
            target.replace(path)
    except FileExistsError:
        raise ManifestError(f"{path} exists; choose another name or remove it") from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written: {error.strerror}") from None
