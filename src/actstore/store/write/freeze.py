"""Write everything before the first task: recipe, sequences, Zarr metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from actstore.access.objects import ObjectStore
from actstore.errors import MissingObjectError, StoreError
from actstore.store.format.documents import load_json
from actstore.store.format.layout import FORMAT, RECIPE, SEQUENCES
from actstore.store.format.metadata import zarr_documents
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen, load_frozen_if_any
from actstore.store.write.same_recipe import check_unchanged

__all__ = [
    "complete_metadata",
    "complete_sequences",
    "freeze",
    "has_sequences",
    "metadata_objects",
    "says_the_same",
]

_NEEDED: Final = frozenset(
    {"zarr_format", "node_type", "shape", "data_type", "chunk_grid", "codecs", "fill_value", "attributes"}
)
"""Members that every version of zarr-python writes."""
_EMPTY: Final[tuple[object, ...]] = (None, [], {})
"""Values of members that say nothing."""


def freeze(objects: ObjectStore, frozen: FrozenRecipe, sequences: Path) -> FrozenRecipe:
    """Freeze a recipe into a store and return the frozen recipe of the store.

    `recipe.json` is created, never replaced: of two extractors that start at once, the second continues with the
    calibration of the first. It is written first, so that sequences of another recipe cannot replace those of this one.

    Parameters
    ----------
    objects
        The store.
    frozen
        The recipe and everything resolved from it.
    sequences
        Local Parquet file from `write_sequences`.

    Raises
    ------
    RecipeChangedError
        If another recipe was frozen in this store in the meantime.
    StoreError
        If the store has no sequences and the given ones do not belong to it.
    """
    stored = load_frozen_if_any(objects)
    if stored is None and not objects.put_new(RECIPE, frozen.to_json()):
        stored = load_frozen(objects)
    if stored is not None:
        check_unchanged(stored, frozen, uri=objects.uri)
    complete_sequences(objects, stored or frozen, sequences, sha256=frozen.sequences_sha256)
    complete_metadata(objects, stored or frozen)
    return stored or frozen


def has_sequences(objects: ObjectStore) -> bool:
    """Return whether a store has its sequences, which are written right after the recipe."""
    try:
        objects.get_range(SEQUENCES, 0, 4)
    except MissingObjectError:
        return False
    return True


def complete_sequences(objects: ObjectStore, frozen: FrozenRecipe, sequences: Path, *, sha256: str) -> None:
    """Write the sequences of a store if they are missing.

    Raises
    ------
    StoreError
        If the given ones do not belong to it; another version of pyarrow writes other bytes.
    """
    if has_sequences(objects):
        return
    if sha256 != frozen.sequences_sha256:
        raise StoreError(
            f"{objects.uri}: {SEQUENCES} is missing, and comes out here with sha256 {sha256[:12]}... instead of "
            f"{frozen.sequences_sha256[:12]}...; use pyarrow {frozen.software.get('pyarrow', '(not said)')}, with "
            "which the store was begun"
        )
    objects.put_file(SEQUENCES, sequences)


def complete_metadata(objects: ObjectStore, frozen: FrozenRecipe) -> None:
    """Write the Zarr metadata and calibration arrays that a frozen recipe implies, if they are missing."""
    for path, content in metadata_objects(frozen).items():
        objects.put_new(path, content)


def metadata_objects(frozen: FrozenRecipe) -> dict[str, bytes]:
    """Return path and content of the Zarr metadata and calibration arrays that a frozen recipe implies."""
    attributes = {"actstore": {"format": FORMAT, "recipe_sha256": frozen.digest}}
    contents = zarr_documents(frozen.arrays, attributes)
    if frozen.calibration is None:
        return contents
    for spec in frozen.calibration_arrays:
        _, site, name = spec.path.split("/")
        facts = frozen.calibration[site]
        values_D = facts.center if name == "center" else facts.channel
        contents[spec.object_path(0)] = values_D.astype(spec.dtype).tobytes()
    return contents


def says_the_same(stored: bytes, wanted: bytes) -> bool:
    """Return whether metadata are right, also if another version of zarr-python wrote them.

    Versions differ in members with default values: members that both have must agree, and members that only the stored
    document has must be empty.
    """
    if stored == wanted:
        return True
    try:
        found, asked = load_json(stored), load_json(wanted)
    except ValueError:
        return False
    if not (isinstance(found, dict) and isinstance(asked, dict) and found.keys() >= _NEEDED & asked.keys()):
        return False
    if any(found[name] not in _EMPTY for name in found.keys() - asked.keys()):
        return False
    return all(_is_same(found[name], asked[name]) for name in found.keys() & asked.keys())


def _is_same(found: object, asked: object) -> bool:
    """Compare two parts of JSON; unlike `==`, neither `true` nor `1.0` is the same as 1 inside of an object or list."""
    return found == asked and (not isinstance(asked, list | dict) or repr(_sorted(found)) == repr(_sorted(asked)))


def _sorted(part: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(part, dict):
        return {name: _sorted(part[name]) for name in sorted(part)}
    return [_sorted(one) for one in part] if isinstance(part, list) else part
