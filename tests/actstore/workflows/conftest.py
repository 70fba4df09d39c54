"""Real stores: a few natural proteins through the trained tiny model; each store is made once."""

import importlib
import json
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.extract.model import TransformersModel, load_model
from actstore.workflows.extract import extract_with
from actstore.workflows.recipes import merge_options
from tests.actstore.workflows.stores import read_fasta, write_fasta

# Importing dask-jobqueue changes what Ctrl-C does; imported here, it is what it was before any test.
_CTRL_C = signal.getsignal(signal.SIGINT)
importlib.import_module("dask_jobqueue")
signal.signal(signal.SIGINT, _CTRL_C)

ALL_SITES = ("embed", "resid_post.*", "final_norm")

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


@pytest.fixture(scope="session")
def few_fasta(small_fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first twelve of the sixty natural proteins."""
    path = tmp_path_factory.mktemp("few") / "few.fasta"
    return write_fasta(path, dict(islice(read_fasta(small_fasta).items(), 12)))


@pytest.fixture(scope="session")
def tiny_recipe(few_fasta: Path, esm2_tiny: Path) -> RecipeOf:
    """Return a recipe of many small tasks, with dotted fields changed."""

    def recipe(**changes: Any) -> Recipe:
        document: dict[str, Any] = {
            "model": {"name": str(esm2_tiny), "tokens_per_batch": 2048},
            "corpus": {"sequences": [str(few_fasta)]},
            "sites": ALL_SITES,
            "splits": {"fractions": {"train": 0.6, "valid": 0.2, "test": 0.2}},
            "store": {"task_rows": 256, "chunk_rows": 64, "calibration_sequences": 4},
        }
        return Recipe.model_validate(merge_options(document, changes))

    return recipe


@pytest.fixture(scope="session")
def tiny_model(esm2_tiny: Path, tiny_recipe: RecipeOf) -> TransformersModel:
    """The shipped ESM-2 with all its sites."""
    return load_model(tiny_recipe().model, ALL_SITES)


@pytest.fixture(scope="session")
def tiny_store(
    tiny_recipe: RecipeOf, tiny_model: TransformersModel, tmp_path_factory: pytest.TempPathFactory
) -> StoreOf:
    """Return the folder of a complete store, by changes of its recipe. Do not write into it."""
    stores: dict[str, Path] = {}

    def store(**changes: Any) -> Path:
        key = json.dumps(changes, sort_keys=True)
        if key not in stores:
            folder = tmp_path_factory.mktemp("tiny") / "store"
            extract_with(tiny_model, LocalObjects(folder), tiny_recipe(**changes))
            stores[key] = folder
        return stores[key]

    return store
