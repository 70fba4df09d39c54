"""`recipe.json` is frozen, and what contradicts itself is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from actstore.access.open import LocalObjects
from actstore.errors import CorruptObjectError, StoreNotFoundError
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.facts import CompressionFacts
from actstore.store.write.frozen_recipe import (
    FrozenRecipe,
    load_frozen,
    load_frozen_if_any,
)
from tests.actstore.store.write.changed import changed

StoreOf = Callable[..., Path]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


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


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"[]", lambda data: data + b"x"])
def test_a_recipe_that_does_not_parse_is_corrupt(own_store: StoreOf, damage: Callable[[bytes], bytes]) -> None:
    path = own_store() / "recipe.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptObjectError, match=r"recipe.json does not parse"):
        load_frozen(LocalObjects(path.parent))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "actstore/1"}, "its format is 'actstore/1', and this version reads 'actstore/2' alone"),
        ({"model.parameters": 2**53}, "has 9,007,199,254,740,992 parameters"),
        ({"recipe.seed": 2**53}, "recipe.seed"),
        ({"corpus.residues": 2**53}, "corpus.residues"),
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


def test_what_auto_measured_is_in_the_document_and_null_where_nothing_was(frozen: FrozenRecipe) -> None:
    assert json.loads(frozen.to_json())["compression"] is None
    facts = CompressionFacts(rows=1024, value_bytes={"none": 4000, "zstd": 2000, "blosc": 5000})
    measured = frozen.model_copy(update={"compression": facts})
    assert measured.digest != frozen.digest
    again = FrozenRecipe.model_validate_json(measured.to_json())
    assert (again, again.digest) == (measured, measured.digest)
    assert again.compression is not None
    assert again.compression.ratios == {"zstd": 2.0, "blosc": 0.8}
