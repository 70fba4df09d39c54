"""From a place, or an exported manifest, to the manifest and objects of a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
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
from actstore.store.read.manifest import LARGEST_MANIFEST_BYTES, Manifest, parse_manifest
from actstore.store.read.merged import MergedObjects, Source, one_store

__all__ = [
    "find_members",
    "find_store",
    "is_manifest_url",
    "is_recipe",
    "locate_rows",
    "locate_store",
    "members_of",
    "open_manifest",
    "open_store_objects",
    "read_manifest",
    "read_manifest_file",
    "read_manifest_url",
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


def is_manifest_url(source: str | os.PathLike[str]) -> bool:
    """Return whether a name is the URL of a manifest file: it ends in `.json`.

    Examples
    --------
    >>> is_manifest_url("https://host/esm2-8m.json"), is_manifest_url("https://host/esm2-8m"), is_manifest_url("a.json")
    (True, False, False)
    """
    name = os.fspath(source)
    return "://" in name and name.endswith(".json")


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
    if Path(source).is_file():
        return read_manifest_file(source)
    if is_manifest_url(source):
        return read_manifest_url(os.fspath(source), storage_options=storage_options)
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
        raise UsageError(f"{name} is a merge, which can only be read; give the manifest of one of its stores")
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


def members_of(source: str, storage_options: Mapping[str, Any] | None = None) -> list[ObjectStore]:
    """Return the stores of a merge, which may be damaged; none if it is no manifest file of a merge."""
    if not Path(source).is_file():
        return []
    manifest = read_manifest_file(source)
    return [
        find_store(member, name=f"store {index} of {source}", damaged=True, storage_options=storage_options)
        for index, member in enumerate(manifest.members, start=1)
    ]


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


def _with_absolute_places(manifest: Manifest, folder: str) -> Manifest:
    """Return a manifest whose places, and those of its members, no longer count from the folder of its file."""
    uri = None if manifest.uri is None else _absolute(manifest.uri, folder)
    members = tuple(_with_absolute_places(member, folder) for member in manifest.members)
    placed = manifest.placed(uri, [_absolute(place, folder) for place in manifest.places])
    return placed.model_copy(update={"members": members})


def _absolute(place: str, folder: str) -> str:
    """Return a place that may be relative to the folder of its manifest."""
    return place if "://" in place or Path(place).is_absolute() else "/".join((folder, *PurePosixPath(place).parts))


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
