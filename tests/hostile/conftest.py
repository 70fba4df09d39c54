"""Stores of the usual kind, in which somebody then has a hand; some of the shipped ESM-2, which can be recomputed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.extract.model import load_model
from actstore.workflows.extract import extract_with
from tests.actstore.conftest import fake_model, own_store, recipe_of, store_of, synthetic_fasta
from tests.conftest import REPOSITORY
from tests.hostile.sealing import CHUNK_ROWS, TASK_ROWS, restore
from tests.services.hub import Hub

__all__ = [
    "fake_model",
    "hub",
    "own_store",
    "recipe_of",
    "store_of",
    "store_to_spoil",
    "synthetic_fasta",
    "template_of",
]

TemplateOf = Callable[[str], Path]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Whoever publishes here publishes to a stand-in."""
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        yield stand_in


@pytest.fixture(scope="session")
def template_of(tmp_path_factory: pytest.TempPathFactory) -> TemplateOf:
    """Return the folder of a sound store by its encoding, 1,300 rows in three tasks. Do not write into it."""
    fasta = tmp_path_factory.mktemp("proteins") / "proteins.fasta"
    alphabet = "ACDEFGHIKLMNPQRSTVWY"
    residues = ("".join(alphabet[(7 * i + i * i * k) % 20] for i in range(40 + 5 * k)) for k in range(1, 19))
    fasta.write_text("".join(f">P{number}\n{text}\n" for number, text in enumerate(residues)))
    templates: dict[str, Path] = {}

    def template(encoding: str) -> Path:
        if encoding not in templates:
            recipe = Recipe.model_validate(
                {
                    "model": {"name": str(REPOSITORY / "examples" / "esm2-tiny")},
                    "corpus": {"sequences": [str(fasta)]},
                    "sites": ["resid_post.2", "resid_post.5"],
                    "splits": {"fractions": {"train": 0.7, "valid": 0.3}},
                    "store": {
                        "encoding": encoding,
                        "task_rows": TASK_ROWS,
                        "chunk_rows": CHUNK_ROWS,
                        "calibration_sequences": 8,
                    },
                }
            )
            templates[encoding] = tmp_path_factory.mktemp(encoding) / "store"
            extract_with(load_model(recipe.model, recipe.sites), LocalObjects(templates[encoding]), recipe)
        return templates[encoding]

    return template


@pytest.fixture
def store_to_spoil(template_of: TemplateOf, tmp_path: Path) -> TemplateOf:
    """Return a copy of a store, by its encoding, that the test may spoil."""
    return lambda encoding: restore(template_of(encoding), tmp_path / "store")
