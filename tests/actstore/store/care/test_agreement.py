"""Sequences beside their recipe; more disagreements are in `tests/hostile/test_lies.py`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.windows import RowWindow
from actstore.store.care.agreement import stored_plan
from actstore.store.read.open import locate_store
from actstore.store.read.reader import ArrayReader
from actstore.store.write.frozen_recipe import load_frozen

StoreOf = Callable[..., Path]


def test_the_plan_of_a_sound_store_is_in_its_rows(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    reader = ArrayReader(objects, manifest)
    with stored_plan(objects, manifest.frozen) as plan:
        assert plan.problems == ()
        for task in range(manifest.frozen.tasks):
            columns = plan.columns(task)
            assert columns is not None
            window = RowWindow(task, 0, manifest.frozen.rows_of(task))
            np.testing.assert_array_equal(columns.sequence_N, reader.rows("rows/sequence", window))
            np.testing.assert_array_equal(columns.position_N, reader.rows("rows/position", window))


@pytest.mark.parametrize("content", [b"", b"PAR1" * 20, None])
def test_sequences_that_cannot_be_read_are_a_problem_and_no_error(own_store: StoreOf, content: bytes | None) -> None:
    store = own_store()
    if content is None:
        (store / "sequences.parquet").unlink()
    else:
        (store / "sequences.parquet").write_bytes(content)
    objects = LocalObjects(store)
    with stored_plan(objects, load_frozen(objects)) as plan:
        assert len(plan.problems) == 1
        assert plan.columns(0) is None


def test_another_seed_gives_another_plan(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    frozen = load_frozen(objects)
    other = frozen.model_copy(update={"recipe": frozen.recipe.model_copy(update={"seed": 7})})
    with stored_plan(objects, other) as plan:
        assert "does not give the plan that the recipe was frozen with" in plan.problems
        assert plan.columns(0) is None
