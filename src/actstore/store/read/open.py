"""From a place, or an exported manifest, to the manifest and objects of a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import ManifestError, MissingObjectError, StoreNotFoundError, UsageError
from actstore.store.format.documents import read_document
from actstore.store.format.layout import MANIFEST
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import LARGEST_MANIFEST_BYTES, Manifest, parse_manifest

__all__ = [
    "is_recipe",
    "locate_store",
    "open_manifest",
    "open_store_objects",
    "read_manifest_file",
    "stored_manifest",
    "written_manifest",
]


@with_keyword_hints
def open_manifest(source: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> Manifest:
    """Return the manifest of a store, given the store or a manifest file that was exported from it.

    Raises
    ------
    StoreNotFoundError
        If there is no store and no manifest file.
    ManifestError
        If the manifest is malformed, or the store it names has other content.
    UsageError
        If it is a recipe.
    """
    manifest, objects = locate_store(source, storage_options=storage_options)
    return manifest.model_copy(update={"uri": objects.uri})


def is_recipe(source: str | os.PathLike[str]) -> bool:
    """Return whether a name means a recipe, which may not exist: it ends in `.toml`, and is no URL and no folder.

    Examples
    --------
    >>> is_recipe("nowhere/recipe.toml"), is_recipe("s3://bucket/recipe.toml"), is_recipe("store")
    (True, False, False)
    """
    name = os.fspath(source)
    return name.endswith(".toml") and "://" not in name and not Path(name).is_dir()


def read_manifest_file(path: str | os.PathLike[str]) -> Manifest:
    """Parse and validate a manifest file without reading its store.

    A relative `uri` counts from the folder of the file; the manifest that is returned has the absolute path.

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
    if manifest.uri is None or "://" in manifest.uri or Path(manifest.uri).is_absolute():
        return manifest
    return manifest.model_copy(update={"uri": str(Path(path).absolute().parent / manifest.uri)})


def locate_store(
    source: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None
) -> tuple[Manifest, ObjectStore]:
    """Return the manifest and the objects of a store; see `open_manifest`."""
    path = Path(source)
    if path.is_file():
        if is_recipe(path):
            raise UsageError(
                f"{path} is a recipe, which has no rows: extract it and give the store, or train without one "
                "('trainer online RECIPE')"
            )
        manifest = read_manifest_file(path)
        if manifest.uri is None:
            raise ManifestError(
                f"{path}: does not say where its store is; make one with 'actstore manifest export', "
                "or give the store itself"
            )
        objects = open_objects(manifest.uri, storage_options)
        _check_same_store(manifest, objects, name=str(path))
        return manifest, objects
    objects = open_objects(source, storage_options)
    return stored_manifest(objects), objects


def open_store_objects(source: str, storage_options: Mapping[str, Any] | None = None) -> ObjectStore:
    """Return the objects of a store, which must not be given by a manifest; nothing is read yet.

    Raises
    ------
    UsageError
        If it is a manifest file.
    """
    path = Path(source)
    if path.is_file():
        with suppress(ManifestError):
            uri = read_manifest_file(path).uri
            place = (
                "of a store whose place it does not say; give the"
                if uri is None
                else f"of the store at {uri}; give that"
            )
            raise UsageError(f"{path}: this is a manifest file, {place} URI")
    return open_objects(source, storage_options)


def stored_manifest(objects: ObjectStore) -> Manifest:
    """Return the manifest of a store; for an incomplete store, the manifest of its commits so far.

    Raises
    ------
    StoreNotFoundError
        If there is no store.
    """
    written = written_manifest(objects)
    return written if written is not None and written.complete else assemble_manifest(objects)


def written_manifest(objects: ObjectStore) -> Manifest | None:
    """Return the stored manifest of a store; None if there is none yet."""
    try:
        return parse_manifest(read_document(objects, MANIFEST), name=f"{objects.uri}/{MANIFEST}")
    except MissingObjectError:
        return None


def _check_same_store(manifest: Manifest, objects: ObjectStore, *, name: str) -> None:
    try:
        stored = stored_manifest(objects)
    except StoreNotFoundError as error:
        way_out = "" if "://" in objects.uri else "; move both together, or export the manifest again"
        raise StoreNotFoundError(f"{name} describes a store at {objects.uri}, but there is none{way_out}") from error
    differences = []
    if stored.recipe_sha256 != manifest.recipe_sha256:
        differences.append("the recipe")
    changed = sorted(path for path, digest in manifest.metadata.items() if stored.metadata.get(path) != digest)
    differences += changed[:3]
    lost = [
        task
        for task, (there, said) in enumerate(zip(stored.commits, manifest.commits, strict=False))
        if said is not None and there != said
    ]
    differences += [f"the commit of task {task}" for task in lost[:3]]
    if differences:
        raise ManifestError(
            f"{name}: the store at {objects.uri} has other content than this manifest describes "
            f"(differs in {', '.join(differences)}); ask its owner for the manifest that belongs to it"
        )
