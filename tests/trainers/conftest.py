from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from actstore import Recipe, extract_store
from tests.trainers.planted import Planted, plant


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Matrices this small lose more to waking threads than they gain, most of all beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    """Two blocks of the shipped ESM-2 on a few dozen natural proteins; a fifth of them held out."""
    folder = tmp_path_factory.mktemp("trainers") / "store"
    return _extract(small_fasta, esm2_tiny, folder, fractions={"train": 0.8, "valid": 0.2})


@pytest.fixture(scope="session")
def recipe_file(small_fasta: Path, esm2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of `store`."""
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(
        f"""
sites = ["resid_post.0", "resid_post.3"]
model = {{ name = "{esm2_tiny}" }}
corpus = {{ sequences = ["{small_fasta}"] }}
splits = {{ fractions = {{ train = 0.8, valid = 0.2 }} }}
store = {{ encoding = "float16", task_rows = 2048, chunk_rows = 64 }}
"""
    )
    return path


@pytest.fixture(scope="session")
def store_without_valid(small_fasta: Path, esm2_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all proteins for training."""
    folder = tmp_path_factory.mktemp("trainers") / "store"
    return _extract(small_fasta, esm2_tiny, folder, fractions={"train": 1.0})


def _extract(fasta: Path, model: Path, folder: Path, *, fractions: dict[str, float]) -> Path:
    recipe = Recipe.model_validate(
        {
            "model": {"name": str(model)},
            "corpus": {"sequences": [str(fasta)]},
            "sites": ["resid_post.0", "resid_post.3"],
            "splits": {"fractions": fractions},
            "store": {"encoding": "float16", "task_rows": 2048, "chunk_rows": 64},
        }
    )
    extract_store(recipe, str(folder))
    return folder
