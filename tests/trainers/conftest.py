from pathlib import Path

import pytest

from actstore import Recipe, extract_store
from tests.trainers.planted import Planted, plant


@pytest.fixture(scope="session")
def one_site() -> Planted:
    """8,192 rows of one site."""
    return plant(rows=8192)


@pytest.fixture(scope="session")
def three_sites() -> Planted:
    """8,192 rows of three sites."""
    return plant(rows=8192, sites=3)


@pytest.fixture(scope="session")
def store(small_fasta: Path, esm2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of the shipped ESM-2 on a few dozen natural proteins."""
    folder = tmp_path_factory.mktemp("trainers") / "store"
    recipe = Recipe.model_validate(
        {
            "model": {"name": str(esm2_tiny)},
            "corpus": {"sequences": [str(small_fasta)]},
            "sites": ["resid_post.0", "resid_post.3"],
            "splits": {"fractions": {"train": 0.8, "valid": 0.2}},
            "store": {"encoding": "float16", "task_rows": 2048, "chunk_rows": 64},
        }
    )
    extract_store(recipe, str(folder))
    return folder
