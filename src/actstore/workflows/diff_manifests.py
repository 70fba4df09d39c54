"""What distinguishes two stores, by their manifests alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from actstore.contracts.suggest import with_keyword_hints
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import read_manifest
from actstore.store.write.same_recipe import flatten

__all__ = ["ManifestDifference", "diff_manifests"]

_MOST_TASKS: Final = 20
_MOST_TEXT: Final = 200


class ManifestDifference(NamedTuple):
    """Two manifests side by side."""

    same: bool
    """Whether they describe the same bytes."""
    digests: tuple[str, str]
    fields: tuple[tuple[str, str | None, str | None], ...]
    """Dotted field of recipe, model, corpus or statistics, and its value on each side; None if absent."""
    tasks: tuple[int, ...]
    """Tasks with other commits, at most twenty."""
    tasks_differing: int
    places: tuple[tuple[str, ...], tuple[str, ...]]
    """Where each finds its store; not part of the content."""


@with_keyword_hints
def diff_manifests(
    one: str | os.PathLike[str], other: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None
) -> ManifestDifference:
    """Compare two manifests; no object of a store is read.

    Parameters
    ----------
    one, other
        A manifest file, or a store.
    storage_options
        Passed to fsspec.

    Raises
    ------
    ManifestError, StoreNotFoundError
        If one of them is no manifest and no store.
    """
    left, right = (read_manifest(source, storage_options=storage_options) for source in (one, other))
    before, after = dict(flatten(_compared(left))), dict(flatten(_compared(right)))
    keys = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    tasks = [
        task
        for task in range(max(len(left.commits), len(right.commits)))
        if left.commits[task : task + 1] != right.commits[task : task + 1]
    ]
    return ManifestDifference(
        same=left.digest == right.digest,
        digests=(left.digest, right.digest),
        fields=tuple((key, _text(before, key), _text(after, key)) for key in keys),
        tasks=tuple(tasks[:_MOST_TASKS]),
        tasks_differing=len(tasks),
        places=(_places(left), _places(right)),
    )


def _compared(manifest: Manifest) -> dict[str, Any]:
    document = manifest.model_dump(mode="json")
    return {name: document[name] for name in ("format", "frozen", "metadata", "stored", "statistics")}


def _places(manifest: Manifest) -> tuple[str, ...]:
    return tuple(place for place in (manifest.uri, *manifest.places) if place is not None)


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    return str(fields[key])[:_MOST_TEXT] if key in fields else None
