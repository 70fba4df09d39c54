"""What an object may hold; whole stores are in `tests/hostile/test_lies.py`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.store.care.contents import PlannedColumns, TaskContents, TokensOfLetters
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen

StoreOf = Callable[..., Path]


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of(**{"store.encoding": "float16"})))


def problem(frozen: FrozenRecipe, path: str, chunk: np.ndarray, planned: PlannedColumns | None = None) -> str | None:
    spec = next(spec for spec in frozen.task_arrays if spec.path == path)
    content = TaskContents(frozen, 0, planned, TokensOfLetters()).of(spec)
    content.add(0, chunk.astype(spec.dtype).tobytes())
    return content.problem


def test_every_letter_has_one_token() -> None:
    tokens = TokensOfLetters()
    letters = np.frombuffer(b"ACAC", dtype=np.uint8)
    assert tokens.problem(letters, np.array([5, 23, 5, 23], dtype=np.int16)) is None
    assert tokens.problem(letters, np.array([5, 23, 6, 23], dtype=np.int16)) == "token 6 for A, and 5 in other rows"
    unknown = np.frombuffer(b"W", dtype=np.uint8)
    assert tokens.problem(unknown, np.array([-1], dtype=np.int16)) == "token -1 for W"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_named(frozen: FrozenRecipe, bad: float) -> None:
    values = np.full((64, 16), 65504.0)
    assert problem(frozen, "sites/embed/values", values) is None
    values[7, 3] = bad
    assert problem(frozen, "sites/embed/values", values) == "row 7 holds NaN or Inf"


def test_a_column_is_that_of_the_plan(frozen: FrozenRecipe) -> None:
    planned = PlannedColumns(np.arange(1024), np.arange(1024, dtype=np.int32), None)
    assert problem(frozen, "rows/sequence", np.arange(64), planned) is None
    assert problem(frozen, "rows/position", np.arange(1, 65), planned) == "row 0 has position 1, the plan 0"
    assert problem(frozen, "rows/position", np.arange(1, 65)) is None  # without a plan nothing is known


def test_rows_after_the_last_are_empty(frozen: FrozenRecipe) -> None:
    planned = PlannedColumns(np.arange(3), np.arange(3, dtype=np.int32), None)
    column = np.full(64, -1)
    column[:3] = np.arange(3)
    assert problem(frozen, "rows/sequence", column, planned) is None
    column[9] = 0
    assert problem(frozen, "rows/sequence", column, planned) == "row 9 lies after the last one, and is not empty"
