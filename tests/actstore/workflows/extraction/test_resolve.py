"""What a recipe comes to, without a store and without running the model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import RecipeError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction import resolve as module
from actstore.workflows.extraction.resolve import Resolution, resolving

RecipeOf = Callable[..., Recipe]


class Untouched(FakeModel):
    """A model that nobody runs."""

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        raise AssertionError("the model was run")


@contextmanager
def resolved(recipe: Recipe, model: FakeModel | None = None) -> Iterator[Resolution]:
    with resolving(
        recipe, model or Untouched(), needs_sequences=True, storage_options=None, progress=Silent()
    ) as resolution:
        yield resolution


def test_all_but_calibration_and_compressor_is_known_without_the_model(recipe_of: RecipeOf) -> None:
    with resolved(recipe_of(**{"store.compressor": "auto"})) as resolution:
        draft = resolution.draft
        assert resolution.sequences.path.is_file()
    assert (draft.calibration, draft.layout.compressor, draft.compression) == (None, "none", None)
    assert draft.rows == resolution.tasks.rows
    assert draft.plan_sha256 == resolution.tasks.digest()


def test_each_thing_is_worked_out_once(recipe_of: RecipeOf, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("split_corpus", "choose_task_rows", "sequence_order", "plan_tasks", "write_sequences"):
        original = getattr(module, name)

        def counted(
            *given: object, name: str = name, original: Callable[..., object] = original, **named: object
        ) -> object:
            calls.append(name)
            return original(*given, **named)

        monkeypatch.setattr(module, name, counted)
    with resolved(recipe_of(), FakeModel()) as resolution:
        frozen = resolution.frozen
        assert frozen.model_copy(update={"calibration": None}) == resolution.draft
        assert resolution.tasks.rows == frozen.rows
    assert sorted(calls) == sorted({*calls})
    assert len(calls) == 5


def test_what_no_store_can_hold_is_refused(recipe_of: RecipeOf) -> None:
    wide = Untouched(sites=["embed"], width=1 << 20)
    sizes = {"store.task_rows": 1 << 15, "store.chunk_rows": 1 << 15}
    with resolved(recipe_of(**sizes), wide) as resolution, pytest.raises(RecipeError, match=r"lower store\.chunk_rows"):
        _ = resolution.draft
