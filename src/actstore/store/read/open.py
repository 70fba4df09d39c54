"""From a place, or an exported manifest, to the manifest and objects of a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.printable import printable
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import (
    CorruptObjectError,
    ManifestError,
    MissingObjectError,
    StoreError,
    StoreNotFoundError,
    UsageError,
)
from actstore.store.format.documents import read_document
from actstore.store.format.layout import MANIFEST
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import Manifest, parse_manifest
from actstore.store.read.manifest_files import (
    is_manifest_url,
    read_manifest_anywhere,
    read_manifest_file,
    read_manifest_url,
)
from actstore.store.read.merged import MergedObjects, Source, one_store

__all__ = [
    "Described",
    "described_stores",
    "find_members",
    "find_store",
    "is_recipe",
    "locate_rows",
    "locate_store",
    "open_manifest",
    "open_store_objects",
    "read_manifest",
    "stored_manifest",
    "written_manifest",
]


@with_keyword_hints
def open_manifest(
    source: str | os.PathLike[str], *, uri: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> Manifest:
    """Return the manifest of a store, given the store or a manifest file that was exported from it.

    Parameters
    ----------
    source
        Path or URL of a store, or of a manifest file (a URL that ends in `.json`).
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options
        Passed to fsspec.

    Raises
    ------
    StoreNotFoundError
        If there is no store and no manifest file.
    ManifestError
        If the manifest is malformed, or the store it names has other content.
    UsageError
        If it is a recipe.
    """
    manifest, objects = locate_rows(source, uri=uri, storage_options=storage_options)
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


def locate_store(
    source: str | os.PathLike[str], *, uri: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> tuple[Manifest, ObjectStore]:
    """Return the manifest and the objects of a store; see `open_manifest`.

    Raises
    ------
    UsageError
        If it is a merge, which has no objects of its own.
    """
    manifest, objects = locate_rows(source, uri=uri, storage_options=storage_options)
    return manifest, one_store(objects)


def locate_rows(
    source: str | os.PathLike[str], *, uri: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> tuple[Manifest, Source]:
    """Return the manifest and the objects of a store or a merge; see `open_manifest`."""
    path = Path(source)
    if path.is_file():
        if is_recipe(path):
            raise UsageError(
                f"{path} is a recipe, which has no rows: extract it and give the store, or train without one "
                "('trainer online RECIPE')"
            )
        return _located(read_manifest_file(path), str(path), uri, storage_options)
    if is_manifest_url(source):
        url = os.fspath(source)
        return _located(read_manifest_url(url, storage_options=storage_options), url, uri, storage_options)
    if uri is not None:
        raise UsageError(
            f"uri = {uri!r} (--uri) tells where the store of a manifest file is, and {source} is no such file"
        )
    objects = open_objects(source, storage_options)
    return stored_manifest(objects), objects


def read_manifest(source: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> Manifest:
    """Return the manifest in a file, whose store is not looked for, or that of a store."""
    if Path(source).is_file() or is_manifest_url(source):
        return read_manifest_anywhere(source, storage_options=storage_options)
    return locate_rows(source, storage_options=storage_options)[0]


def find_members(manifest: Manifest, *, name: str, storage_options: Mapping[str, Any] | None = None) -> MergedObjects:
    """Return the stores of a merge; raises as `find_store`."""
    stores = [
        find_store(member, name=f"store {index} of {name}", storage_options=storage_options)
        for index, member in enumerate(manifest.members, start=1)
    ]
    return MergedObjects(name, manifest, stores)


def find_store(
    manifest: Manifest, *, name: str, damaged: bool = False, storage_options: Mapping[str, Any] | None = None
) -> ObjectStore:
    """Return the first of a manifest's places that has the store.

    Parameters
    ----------
    manifest
        From `read_manifest_file`.
    name
        Of the manifest, for messages.
    damaged
        Whether a store may have damaged documents.
    storage_options
        Passed to fsspec.

    Raises
    ------
    ManifestError
        If it names no place, or the only place has a store with other content.
    StoreNotFoundError
        If no place has the store; the message says why for each.
    """
    places = [place for place in (manifest.uri, *manifest.places) if place is not None]
    if manifest.members:
        stores = ", ".join(printable(member.uri or "(not said)") for member in manifest.members)
        raise UsageError(f"{name} is a merge, which can only be read; give one of its stores: {stores}")
    if not places:
        raise ManifestError(
            f"{name}: does not say where its store is; write that into it with 'actstore manifest relocate', or give "
            "the store itself"
        )
    problems: list[StoreError] = []
    for place in places:
        try:
            objects = open_objects(place, storage_options)
            _check_same_store(manifest, objects, name=name)
        except (CorruptObjectError, MissingObjectError) as error:
            if damaged:
                return objects
            problems.append(error)
        except StoreError as error:
            problems.append(error)
        else:
            return objects
    if len(problems) == 1:
        raise problems[0]
    said = "".join(f"\n  {problem}" for problem in problems)
    raise StoreNotFoundError(f"{name}: none of its {len(places)} places has the store:{said}")


def open_store_objects(source: str, storage_options: Mapping[str, Any] | None = None) -> ObjectStore:
    """Return the objects of a store, which may be damaged, or of the store that a manifest file describes.

    Raises
    ------
    StoreError
        If it is a manifest file, and none of its places has the store.
    """
    path, manifest = Path(source), None
    if path.is_file():
        with suppress(ManifestError):
            manifest = read_manifest_file(path)
    if is_manifest_url(source):
        manifest = read_manifest_url(source, storage_options=storage_options)
    if manifest is not None:
        return find_store(manifest, name=source, damaged=True, storage_options=storage_options)
    return open_objects(source, storage_options)


class Described(NamedTuple):
    """A store, which may be damaged."""

    objects: ObjectStore
    part: Manifest | None
    """Manifest of the part of it that is meant; None if the whole store is."""


def described_stores(source: str, storage_options: Mapping[str, Any] | None = None) -> list[Described]:
    """Return the store at a place or of a manifest file, or all stores of a merge; raises as `open_store_objects`."""
    manifests: tuple[Manifest, ...] = ()
    if Path(source).is_file() or is_manifest_url(source):
        with suppress(ManifestError):
            manifest = read_manifest(source, storage_options=storage_options)
            manifests = manifest.members or (manifest,)
    if not manifests:
        return [Described(open_store_objects(source, storage_options), None)]
    return [
        Described(
            find_store(manifest, name=source, damaged=True, storage_options=storage_options),
            None if manifest.frozen.part is None else manifest,
        )
        for manifest in manifests
    ]


def stored_manifest(objects: ObjectStore) -> Manifest:
    """Return the manifest of a store; for an incomplete store, the manifest of its commits so far.

    Raises
    ------
    StoreNotFoundError
        If there is no store.
    """
    written = written_manifest(objects)
    if written is not None and written.members:
        raise ManifestError(f"{objects.uri}/{MANIFEST} is the manifest of a merge, which is no store")
    return written if written is not None and written.complete else assemble_manifest(objects)


def written_manifest(objects: ObjectStore) -> Manifest | None:
    """Return the stored manifest of a store; None if there is none yet."""
    try:
        return parse_manifest(read_document(objects, MANIFEST), name=f"{objects.uri}/{MANIFEST}")
    except MissingObjectError:
        return None


def _located(
    manifest: Manifest, name: str, uri: str | None, storage_options: Mapping[str, Any] | None
) -> tuple[Manifest, Source]:
    if manifest.members:
        if uri is not None:
            raise UsageError(f"{name} is a merge of several stores: uri (--uri) cannot say where they all are")
        return manifest, find_members(manifest, name=name, storage_options=storage_options)
    if uri is not None:
        manifest = manifest.placed(uri)
    return manifest, find_store(manifest, name=name, storage_options=storage_options)


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
