from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actstore.access.open import LocalObjects
from actstore.errors import UsageError
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.imported import ImportFacts
from actstore.store.write.join import join_recipes
from actstore.store.write.part import PartFacts

StoreOf = Callable[..., Path]
NAMES = ["one", "two"]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


def imported(frozen: FrozenRecipe, model: str, *known: Any) -> FrozenRecipe:
    facts = ImportFacts(format="npy", digest="0" * 64, known=known)
    return frozen.model_copy(update={"imported": facts, "model": replace(frozen.model, name=model)})


def test_numbers_are_those_of_all_stores(frozen: FrozenRecipe) -> None:
    joined = join_recipes([frozen, frozen], NAMES)
    assert (joined.rows, joined.tasks) == (2 * frozen.rows, 2 * frozen.tasks)
    assert joined.corpus.sequences == 2 * frozen.corpus.sequences
    assert [member.recipe_sha256 for member in joined.members] == [frozen.digest] * 2
    assert FrozenRecipe.model_validate_json(joined.to_json()) == joined


def test_parts_are_joined_without_their_numbers_of_tasks(frozen: FrozenRecipe) -> None:
    part = frozen.model_copy(update={"part": PartFacts(sites=("embed",), tasks={"train": 1})})
    joined = join_recipes([part, part], NAMES)
    assert joined.part == PartFacts(sites=("embed",))
    assert (joined.tasks, joined.rows) == (2, 2 * frozen.layout.task_rows)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"part": PartFacts(sites=("embed",))}, "two has sites here embed"),
        ({"calibration": None}, "different calibrations"),
    ],
)
def test_what_must_agree_is_named(frozen: FrozenRecipe, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        join_recipes([frozen, frozen.model_copy(update=changes)], NAMES)


def test_imports_are_joined_if_their_model_is_known_and_the_same(frozen: FrozenRecipe) -> None:
    one, two = imported(frozen, "esm", "ids", "model"), imported(frozen, "t5", "ids", "model")
    assert join_recipes([one, one], NAMES).imported == one.imported
    with pytest.raises(UsageError, match="two has model t5, one esm"):
        join_recipes([one, two], NAMES)
    with pytest.raises(UsageError, match="two has rows imported rows, one extracted rows"):
        join_recipes([frozen, one], NAMES)
    with pytest.raises(UsageError, match=r"one was imported, and nobody knows of which model.*--model NAME"):
        join_recipes([imported(frozen, "unknown", "ids"), one], NAMES)
