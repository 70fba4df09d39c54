"""Write everything that comes before the first task: sequences, recipe, Zarr metadata."""

from __future__ import annotations

from pathlib import Path

from actstore.contracts.objects import ObjectStore
from actstore.quantize.table import QUANTIZERS
from actstore.store.frozen import FrozenRecipe, check_unchanged, load_frozen, load_frozen_if_any
from actstore.store.layout import FORMAT, RECIPE, SEQUENCES, array_specs, calibration_arrays
from actstore.store.metadata import zarr_documents

__all__ = ["complete_metadata", "freeze"]


def freeze(objects: ObjectStore, frozen: FrozenRecipe, sequences: Path) -> FrozenRecipe:
    """Freeze a recipe into a store and return what is frozen there.

    `recipe.json` is created, never replaced: of two extractors that start at once, the second continues with the
    calibration of the first.

    Parameters
    ----------
    objects
        The store.
    frozen
        The recipe and what it resolved to.
    sequences
        Local Parquet file that `write_sequences` made.

    Raises
    ------
    RecipeChangedError
        If another recipe was frozen there in the meantime.
    """
    stored = load_frozen_if_any(objects)
    if stored is None:
        objects.put_file(SEQUENCES, sequences)
        if not objects.put_new(RECIPE, frozen.to_json()):
            stored = load_frozen(objects)
    if stored is not None:
        check_unchanged(stored, frozen, uri=objects.uri)
        frozen = stored
    complete_metadata(objects, frozen)
    return frozen


def complete_metadata(objects: ObjectStore, frozen: FrozenRecipe) -> None:
    """Write the Zarr metadata and calibration arrays that a frozen recipe implies, where they are missing."""
    store, quantizer = frozen.recipe.store, QUANTIZERS[frozen.recipe.store.encoding]
    specs = array_specs(frozen.sites, quantizer, store, length=frozen.array_rows, tasks=frozen.tasks)
    attributes = {"actstore": {"format": FORMAT, "recipe_sha256": frozen.digest}}
    for path, document in zarr_documents(specs, attributes).items():
        objects.put_new(path, document)
    if frozen.calibration is None:
        return
    for spec in calibration_arrays(frozen.sites):
        _, site, name = spec.path.split("/")
        facts = frozen.calibration[site]
        values_D = facts.center if name == "center" else facts.channel
        objects.put_new(spec.object_path(0), values_D.astype(spec.dtype).tobytes())
