from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.store.read.manifest import parse_manifest
from actstore.workflows.planning.measure import load_sizes, read_lengths

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


def test_rows_of_the_splits_are_those_of_the_extraction(tiny_recipe: RecipeOf, tiny_store: StoreOf) -> None:
    changes = {"rows.fraction": 0.3}
    corpus = read_lengths(tiny_recipe(**changes), storage_options=None, progress=Silent())
    manifest = parse_manifest((tiny_store(**changes) / "manifest.json").read_bytes(), name="manifest")
    assert corpus.splits == {name: (split.sequences, split.rows) for name, split in manifest.splits.items()}
    assert corpus.lengths.residues == manifest.frozen.corpus.residues


def test_a_loaded_model_tells_its_sites_and_its_shape(tiny_recipe: RecipeOf) -> None:
    sizes = load_sizes(tiny_recipe())
    assert [site.width for site in sizes.sites] == [128] * 8
    assert sizes.shape == (6, 12 * 128**2, 128)
    assert (sizes.special_tokens, sizes.reason) == (2, None)


@pytest.mark.parametrize("site", ["encoder.layer.3.attention.self"])
def test_a_module_within_a_block_is_planned_too(site: str, tiny_recipe: RecipeOf) -> None:
    assert load_sizes(tiny_recipe(sites=[site])).sites[0].width == 128
