"""Rows of another recipe may not be mixed into a store; every difference is named."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.models import ModelFacts
from actstore.contracts.recipe import Recipe
from actstore.errors import RecipeChangedError
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.same_recipe import check_unchanged
from tests.actstore.store.write.changed import changed

StoreOf = Callable[..., Path]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


def test_the_same_recipe_is_unchanged(frozen: FrozenRecipe) -> None:
    check_unchanged(frozen, frozen, uri="store")


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe.corpus.sequences": ["elsewhere/proteins.fasta"]},
        {"recipe.corpus.format": "fasta"},
        {"recipe.splits.clusters": "elsewhere/clusters.tsv"},
        {"recipe.model.name": "a/local/copy", "model.name": "a/local/copy"},
        {"recipe.model.revision": "main", "model.revision": "c0ffee"},
        {"recipe.model.pickle_weights": True, "recipe.model.remote_code": True},
        {"software": {"actstore": "9.9"}},
        {"calibration": None, "sequences_sha256": "0" * 64},
        {"compression": {"rows": 8, "value_bytes": {"none": 5}}},
    ],
    ids=", ".join,
)
def test_where_things_were_read_from_may_change(frozen: FrozenRecipe, changes: dict[str, Any]) -> None:
    check_unchanged(frozen, changed(frozen, **changes), uri="store")


@pytest.mark.parametrize(
    "changes",
    [
        {"corpus.digest": "0" * 64},
        {"corpus.skipped": {"duplicate": 3}},
        {"model.weights_sha256": "0" * 64},
        {"model.dtype": "float16", "recipe.model.dtype": "float16"},
        {"recipe.model.tokens_per_batch": 4096},
        {"recipe.corpus.window_residues": 512},
        {"recipe.corpus.window_overlap": 30},
        {"recipe.splits.fractions": {"train": 1.0}},
        {"recipe.rows.fraction": 0.5},
        {"recipe.store.encoding": "bfloat16"},
        {"recipe.store.compressor": "zstd"},
        {"recipe.store.chunk_rows": 32},
        {"recipe.store.calibration_sequences": 17},
        {"recipe.seed": 1},
        {"recipe.sites": ["embed"]},
        {"plan_sha256": "0" * 64},
    ],
    ids=", ".join,
)
def test_whatever_changes_the_content_is_refused(frozen: FrozenRecipe, changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeChangedError, match=r"store was made with another recipe:\n.*the store has") as caught:
        check_unchanged(frozen, changed(frozen, **changes), uri="store")
    for key in changes:
        assert f"\n  {key}" in str(caught.value)


def test_whoever_asks_for_auto_takes_the_compressor_that_is_frozen(frozen: FrozenRecipe) -> None:
    named = changed(frozen, **{"recipe.store.compressor": "zstd"})
    auto = changed(named, compression={"rows": 8, "value_bytes": {"none": 5}})
    check_unchanged(frozen, auto, uri="store")
    check_unchanged(auto, named, uri="store")
    with pytest.raises(RecipeChangedError, match=r"recipe\.store\.compressor: the store has 'zstd'"):
        check_unchanged(auto, frozen, uri="store")
    with pytest.raises(RecipeChangedError, match=r"recipe\.seed"):
        check_unchanged(frozen, changed(auto, **{"recipe.seed": 5}), uri="store")


def test_every_difference_is_shown_with_both_sides(frozen: FrozenRecipe) -> None:
    asked = changed(frozen, **{"recipe.seed": 5, "recipe.rows.fraction": 0.25, "model.parameters": 12})
    with pytest.raises(RecipeChangedError) as caught:
        check_unchanged(frozen, asked, uri="store")
    assert str(caught.value).splitlines()[1:-1] == [
        "  model.parameters: the store has 0, this recipe gives 12",
        "  recipe.rows.fraction: the store has 1.0, this recipe gives 0.25",
        "  recipe.seed: the store has 0, this recipe gives 5",
    ]


def test_what_follows_from_a_difference_is_not_shown_beside_it(frozen: FrozenRecipe) -> None:
    rows = frozen.recipe.rows.model_copy(update={"fraction": 0.123})
    asked = frozen.model_copy(
        update={"recipe": frozen.recipe.model_copy(update={"rows": rows}), "plan_sha256": "f" * 64}
    )
    with pytest.raises(RecipeChangedError) as refused:
        check_unchanged(frozen, asked, uri="store")
    assert "recipe.rows.fraction" in str(refused.value)
    assert "plan_sha256" not in str(refused.value)


def test_sites_are_compared_whole(frozen: FrozenRecipe) -> None:
    asked = frozen.model_copy(update={"sites": frozen.sites[:-1]})
    with pytest.raises(RecipeChangedError, match=r"\n  sites: the store has .*final_norm"):
        check_unchanged(frozen, asked, uri="store")


def test_nothing_new_in_the_recipe_is_overlooked(frozen: FrozenRecipe) -> None:
    """Whoever adds a field has to decide whether it may differ on resume; the default is that it may not."""
    assert set(Recipe.model_fields) == {"model", "corpus", "sites", "rows", "splits", "store", "seed"}
    assert {field.name for field in fields(ModelFacts)} == set(frozen.model_dump(mode="json")["model"])
