"""Which objects belong to a store: those that its recipe implies, and those that tasks may write."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

from actstore.access.open import is_partial
from actstore.store.format.layout import (
    COMMITS,
    MANIFEST,
    PUBLISHED,
    RECIPE,
    ROOT_METADATA,
    SEQUENCES,
    ArraySpec,
)
from actstore.store.write.commit import commit_task
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["Inventory", "is_below", "is_name_of_store", "other_stores"]

_CHUNKS: Final = "/c/"
_ROWS_METADATA: Final = f"rows/{ROOT_METADATA}"
_ARRAY: Final = r"(rows|scales|statistics|sites/[^/]+)/[^/]+"
_GROUP: Final = r"(rows|scales|statistics|sites(/[^/]+)?)"
_OBJECT: Final = re.compile(rf"{_ARRAY}/c/[0-9]+(/0)*|({_ARRAY}|{_GROUP})/{ROOT_METADATA}")
"""Objects and metadata of arrays that some store has."""


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Classifies an object of a store by its path."""

    tasks: frozenset[int]
    metadata: frozenset[str]
    """`zarr.json` documents and calibration arrays."""
    arrays: dict[str, ArraySpec]
    """Arrays for which every task writes an object, by path."""

    @classmethod
    def of(cls, frozen: FrozenRecipe) -> Self:
        """Work it out from a recipe."""
        metadata = frozen.metadata_paths
        return cls(frozenset(frozen.tasks_here), frozenset(metadata), {spec.path: spec for spec in frozen.task_arrays})

    def task_of(self, path: str) -> int | None:
        """Return the task that writes an object with its rows or statistics; None if none does."""
        array, _, key = path.rpartition(_CHUNKS)
        first = key.partition("/")[0]
        spec = self.arrays.get(array)
        if spec is None or not (first.isascii() and first.isdecimal()):
            return None
        task = int(first)
        return task if task in self.tasks and spec.object_path(task) == path else None

    def why_unnamed(self, path: str, named_tasks: Collection[int]) -> str | None:
        """Return why an object is not part of the store, given the tasks with a commit; None if it is part of it."""
        if path in {RECIPE, SEQUENCES, MANIFEST} or path in PUBLISHED or path in self.metadata:
            return None
        if (task := commit_task(path)) is not None:
            return None if task in self.tasks else f"the store has no task {task}"
        if (task := self.task_of(path)) is not None:
            return None if task in named_tasks else f"task {task} has no commit"
        return "no commit has this name" if path.startswith(f"{COMMITS}/") else "nothing in a store has this name"


def is_name_of_store(path: str) -> bool:
    """Return whether a path is one that actstore gives to objects of stores, or to unfinished writes of them.

    A store need not have such an object: its task, its site or its array may belong to another recipe.

    Examples
    --------
    >>> [is_name_of_store(path) for path in ("commits/99.json", "sites/other/values/c/0/0", "rows/token/zarr.json")]
    [True, True, True]
    >>> [is_name_of_store(path) for path in ("notes.txt", "commits/mine.json", "rows/token/c/0.bak", "sites/x")]
    [False, False, False, False]
    """
    return commit_task(path) is not None or is_partial(path) or _OBJECT.fullmatch(path) is not None


def other_stores(paths: Collection[str]) -> tuple[str, ...]:
    """Return the folders below a store that are stores themselves; their content does not belong to this store.

    They are recognised by names: a recipe, a manifest, a commit, or the groups that every store has.

    Parameters
    ----------
    paths
        All objects in the store.

    Examples
    --------
    >>> other_stores({"recipe.json", "zarr.json", "run-2/recipe.json", "run-2/old/manifest.json", "notes/zarr.json"})
    ('run-2',)
    """
    found: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        above, _, last = folder.rpartition("/")
        if name in {RECIPE, MANIFEST}:
            found.add(folder)
        elif last == COMMITS and commit_task(f"{last}/{name}") is not None:
            found.add(above)
        elif name == ROOT_METADATA and f"{folder}/{_ROWS_METADATA}" in paths:
            found.add(folder)
    found.discard("")
    return tuple(sorted(one for one in found if not is_below(one.rpartition("/")[0], found)))


def is_below(path: str, folders: Collection[str]) -> bool:
    """Return whether a path is one of some folders, or inside one."""
    while path:
        if path in folders:
            return True
        path = path.rpartition("/")[0]
    return False
