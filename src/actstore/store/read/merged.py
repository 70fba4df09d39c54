"""Several stores that are read as one: which of them has a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.printable import printable
from actstore.errors import UsageError
from actstore.store.read.manifest import Manifest

__all__ = ["MergedObjects", "Owner", "Source", "has_local_files", "one_store", "owner_of"]


class Owner(NamedTuple):
    """The store that has a task."""

    objects: ObjectStore
    task: int
    """Its number there."""
    recipe_sha256: str


class MergedObjects:
    """The objects of the stores of a merge.

    Parameters
    ----------
    uri
        Name of the merge in messages.
    manifest
        Of the merge.
    members
        The objects of each store, in the order of `manifest.members`.
    """

    def __init__(self, uri: str, manifest: Manifest, members: Sequence[ObjectStore]) -> None:
        self.uri = uri
        self.members = tuple(members)
        self._frozen = manifest.frozen

    def owner(self, task: int) -> Owner:
        """Return the store that has a task."""
        member = int(self._frozen.table.member_T[task])
        local = int(self._frozen.table.local_T[task])
        return Owner(self.members[member], local, self._frozen.members[member].recipe_sha256)


Source = ObjectStore | MergedObjects
"""Where rows are read."""


def owner_of(objects: Source, manifest: Manifest, task: int) -> Owner:
    """Return the store that has a task of a store or a merge."""
    if isinstance(objects, MergedObjects):
        return objects.owner(task)
    return Owner(objects, task, manifest.recipe_sha256)


def has_local_files(objects: Source) -> bool:
    """Return whether all objects are files of this machine."""
    members = objects.members if isinstance(objects, MergedObjects) else (objects,)
    return all(isinstance(one, LocalObjects) for one in members)


def one_store(objects: Source) -> ObjectStore:
    """Return the objects of a store.

    Raises
    ------
    UsageError
        If it is a merge, which is only read.
    """
    if isinstance(objects, MergedObjects):
        places = ", ".join(printable(one.uri) for one in objects.members)
        raise UsageError(f"{objects.uri} is a merge, which can only be read; give one of its stores: {places}")
    return objects
