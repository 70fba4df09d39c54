"""The model of an existing store: where it is now, and loading it with the sites that are stored."""

from __future__ import annotations

from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.model_files import local_folder
from actstore.errors import ModelError
from actstore.extract.model import TransformersModel, load_model
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["load_stored_model", "stored_model"]


def stored_model(frozen: FrozenRecipe, place: str | None = None) -> ModelRecipe:
    """Return the model to load for a store.

    A model without a revision was a folder. It is never looked up on a hub, where its name may belong to somebody
    else. Whoever loads the model compares its weights with those of the store.

    Parameters
    ----------
    frozen
        Of the store.
    place
        Folder or Hugging Face name that has the model now; None for the place it was extracted from.

    Raises
    ------
    ModelError
        If it was extracted from a folder that is gone, or its rows were imported from files or copied
        from another store.
    """
    if frozen.imported is not None and frozen.imported.from_store:
        raise ModelError(
            "the rows of the store were copied from another store, not computed; 'actstore copy SRC URI --sequences "
            "FILE' writes missing tasks from there, and with --check damaged ones"
        )
    if frozen.imported is not None:
        raise ModelError(
            f"the rows of the store were imported from {frozen.imported.format} files, so no model gives them again; "
            "'actstore import SOURCE URI' writes missing tasks, and with --repair damaged ones, from the files"
        )
    pinned = frozen.pinned_model
    if place is not None:
        folder = local_folder(place)
        return pinned.model_copy(update={"name": str(folder or place), "revision": None})
    if frozen.model.revision is not None:
        return pinned
    folder = local_folder(frozen.model.name)
    if folder is None:
        raise ModelError(
            f"the store was extracted with the model in the folder {frozen.model.name}, which is not there; give the "
            "folder that has it now with --model FOLDER (its weights are compared), or put it back"
        )
    return pinned.model_copy(update={"name": str(folder)})


def load_stored_model(frozen: FrozenRecipe, model: ModelRecipe, *, device: str) -> TransformersModel:
    """Load the model of a store; its weights are not compared yet.

    Parameters
    ----------
    frozen
        Of the store; its sites are found by their modules, as they were resolved when the store was begun.
    model
        From `stored_model`.
    device
        `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    ModelError, SiteError, UsageError
        As `actstore.extract.model.load_model`.
    """
    return load_model(model, frozen.modules, device=device)
