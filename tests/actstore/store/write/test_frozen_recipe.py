"""`recipe.json` is frozen, and nothing else may be mixed into its store."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from actstore.access.open import LocalObjects
from actstore.contracts.models import ModelFacts
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, RecipeChangedError, StoreNotFoundError
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.frozen_recipe import (
    CompressionFacts,
    FrozenRecipe,
    check_unchanged,
    load_frozen,
    load_frozen_if_any,
)

StoreOf = Callable[..., Path]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


def changed(frozen: FrozenRecipe, **changes: Any) -> FrozenRecipe:
    """Return a copy with dotted fields of its JSON document replaced."""
    document = json.loads(frozen.to_json())
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        part = document
        for key in path:
            part = part[key]
        part[last] = value
    return FrozenRecipe.model_validate_json(json.dumps(document))


def test_a_round_trip_keeps_bytes_and_digest(store_of: StoreOf, frozen: FrozenRecipe) -> None:
    stored = (store_of() / "recipe.json").read_bytes()
    assert frozen.to_json() == stored
    assert frozen.digest == sha256_hex(stored)
    assert FrozenRecipe.model_validate_json(stored).digest == frozen.digest


def test_a_changed_copy_has_its_own_digest(frozen: FrozenRecipe) -> None:
    before = frozen.digest
    copy = frozen.model_copy(update={"sequences_sha256": "0" * 64})
    assert copy.digest == sha256_hex(copy.to_json()) != before
    assert frozen.digest == before


def test_rows_and_splits_of_tasks_follow_from_the_splits(frozen: FrozenRecipe) -> None:
    assert [split.first_task for split in frozen.splits.values()] == sorted(
        split.first_task for split in frozen.splits.values()
    )
    for name, split in frozen.splits.items():
        tasks = range(split.first_task, split.first_task + split.tasks)
        assert {frozen.split_of(task) for task in tasks} == {name}
        assert sum(frozen.rows_of(task) for task in tasks) == split.rows
        assert all(frozen.rows_of(task) == 1024 for task in tasks[:-1])
    with pytest.raises(IndexError, match=f"task {frozen.tasks} of {frozen.tasks}"):
        frozen.rows_of(frozen.tasks)


def test_calibration_is_by_site_and_absent_without_need(frozen: FrozenRecipe, store_of: StoreOf) -> None:
    calibration = frozen.site_calibration("embed")
    assert calibration is not None
    assert calibration.center_D.shape == calibration.channel_D.shape == (16,)
    assert calibration.center_D.dtype == np.float32
    assert load_frozen(LocalObjects(store_of(**{"store.encoding": "float16"}))).site_calibration("embed") is None


def test_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    with pytest.raises(StoreNotFoundError, match=r"no activation store here \(recipe.json is missing\).*extract"):
        load_frozen(objects)
    assert load_frozen_if_any(objects) is None


def test_another_recipe_than_the_manifest_names_is_corrupt(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    assert load_frozen(objects, sha256=sha256_hex(objects.get("recipe.json"))) == load_frozen_if_any(objects)
    with pytest.raises(CorruptObjectError, match=r"recipe.json has sha256 .* the manifest says abab"):
        load_frozen(objects, sha256="ab" * 32)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"[]", lambda data: data + b"x"])
def test_a_recipe_that_does_not_parse_is_corrupt(own_store: StoreOf, damage: Callable[[bytes], bytes]) -> None:
    path = own_store() / "recipe.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptObjectError, match=r"recipe.json does not parse"):
        load_frozen(LocalObjects(path.parent))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "actstore/2"}, "format"),
        ({"rows": 5}, "rows of the splits do not add up to 5"),
        ({"tasks": 99}, "do not follow each other"),
        ({"splits.train.first_task": 99}, "do not follow each other"),
        ({"splits.train.rows": 1}, "does not have the tasks that its rows need"),
        ({"calibration.embed.center": "AAAAAA=="}, "which differs from the sites and their widths"),
        ({"calibration": {}}, "which differs from the sites and their widths"),
        ({"recipe.rows.fraction": 2.0}, "fraction"),
        ({"recipe.store.compressor": "auto"}, "is decided, not 'auto'"),
        ({"compression": {"rows": 8, "value_bytes": {"zstd": 5}}}, "value_bytes has no 'none'"),
        ({"compression": {"rows": 8, "value_bytes": {"none": 0}}}, "greater than or equal to 1"),
        ({"plan_sha256": "x"}, "plan_sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(
    frozen: FrozenRecipe, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(frozen, **changes)


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


def test_what_auto_measured_is_in_the_document_and_absent_where_nothing_was(frozen: FrozenRecipe) -> None:
    assert "compression" not in json.loads(frozen.to_json())
    facts = CompressionFacts(rows=1024, value_bytes={"none": 4000, "zstd": 2000, "blosc": 5000})
    measured = frozen.model_copy(update={"compression": facts})
    assert measured.digest != frozen.digest
    again = FrozenRecipe.model_validate_json(measured.to_json())
    assert (again, again.digest) == (measured, measured.digest)
    assert again.compression is not None
    assert again.compression.ratios == {"zstd": 2.0, "blosc": 0.8}


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
