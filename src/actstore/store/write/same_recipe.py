"""Whether two frozen recipes give the same content, so that one store may hold rows of both."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from actstore.errors import RecipeChangedError
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["check_unchanged", "flatten"]

_NOT_CONTENT: Final = frozenset(
    {
        "recipe.corpus.sequences",
        "recipe.corpus.format",
        "recipe.splits.clusters",
        "recipe.model.name",
        "recipe.model.revision",
        "recipe.model.pickle_weights",
        "recipe.model.remote_code",
        "recipe.model.unused_weights",
        "recipe.store.calibration_of",
        "model.name",
        "model.revision",
        "sequences_sha256",
        "calibration",
        "compression",
        "software",
    }
)
"""Fields that may differ on resume: sources of data. Digests of the data are compared instead."""

_COMPRESSOR: Final = "recipe.store.compressor"
"""May also differ if the resuming recipe says `auto`: the frozen choice is then taken."""

_DERIVED: Final = frozenset({"rows", "tasks", "array_rows", "splits", "plan_sha256"})
"""Fields that follow from recipe, corpus and model."""


def check_unchanged(stored: FrozenRecipe, asked: FrozenRecipe, *, uri: str) -> None:
    """Refuse to mix two recipes in one store.

    Raises
    ------
    RecipeChangedError
        If `asked` would give other content than the store has; the message lists every difference.
    """
    may_differ = _NOT_CONTENT if asked.compression is None else _NOT_CONTENT | {_COMPRESSOR}
    before = dict(flatten(stored.model_dump(mode="json")))
    after = dict(flatten(asked.model_dump(mode="json")))
    changed = [
        key
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and not _is_part_of(key, may_differ)
    ]
    # Consequences of other fields are shown only if nothing else explains the difference.
    causes = [key for key in changed if not _is_part_of(key, _DERIVED)] or changed
    if causes:
        raise RecipeChangedError(
            f"{uri} was made with another recipe:\n"
            + "\n".join(
                f"  {key}: the store has {before.get(key)!r}, this recipe gives {after.get(key)!r}" for key in causes
            )
            + "\nExtract to another place, or go back to the recipe of the store ('actstore extract --store URI' "
            "alone continues it)."
        )


def flatten(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of a document by their dotted names; lists are values."""
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_part_of(key: str, names: Collection[str]) -> bool:
    return key in names or any(key.startswith(f"{name}.") for name in names)
