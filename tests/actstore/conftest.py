"""Small real stores: synthetic proteins through the whole extraction with a model that needs no network."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.testing.proteins import FamilyShape, synthetic_proteins, write_fasta
from actstore.workflows.extract import extract_with

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


@pytest.fixture(scope="session")
def synthetic_fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty proteins of 60 to 300 residues in twenty families."""
    path = tmp_path_factory.mktemp("synthetic") / "proteins.fasta"
    shape = FamilyShape(median_residues=150, min_residues=60, max_residues=300)
    write_fasta(path, synthetic_proteins(families=20, members=3, seed=1, shape=shape))
    return path


@pytest.fixture(scope="session")
def fake_model() -> FakeModel:
    """Four sites of sixteen features, one of them fifty times larger than the rest."""
    return FakeModel()


@pytest.fixture(scope="session")
def recipe_of(synthetic_fasta: Path) -> RecipeOf:
    """Return a small recipe, with dotted fields changed: ``recipe_of(**{"store.encoding": "float16"})``."""

    def recipe(**changes: Any) -> Recipe:
        document: dict[str, Any] = {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(synthetic_fasta)], "window_residues": 128, "window_overlap": 32},
            "splits": {"fractions": {"train": 0.7, "valid": 0.2, "test": 0.1}},
            "store": {"task_rows": 1024, "chunk_rows": 64, "calibration_sequences": 16},
        }
        for dotted, value in changes.items():
            section, _, key = dotted.rpartition(".")
            (document.setdefault(section, {}) if section else document)[key] = value
        return Recipe.model_validate(document)

    return recipe


@pytest.fixture(scope="session")
def store_of(recipe_of: RecipeOf, fake_model: FakeModel, tmp_path_factory: pytest.TempPathFactory) -> StoreOf:
    """Return the folder of a complete store, by changes of its recipe; each is made once. Do not write into it."""
    stores: dict[str, Path] = {}

    def store(**changes: Any) -> Path:
        key = json.dumps(changes, sort_keys=True)
        if key not in stores:
            folder = tmp_path_factory.mktemp("store") / "store"
            extract_with(fake_model, LocalObjects(folder), recipe_of(**changes))
            stores[key] = folder
        return stores[key]

    return store


@pytest.fixture
def own_store(store_of: StoreOf, tmp_path: Path) -> StoreOf:
    """Return a copy of a store that the test may spoil."""

    def store(**changes: Any) -> Path:
        return shutil.copytree(store_of(**changes), tmp_path / "own")

    return store
