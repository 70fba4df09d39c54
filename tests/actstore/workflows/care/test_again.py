from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.errors import RecipeChangedError
from actstore.store.read.manifest import parse_manifest
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.again import rows_of_model, write_again
from tests.actstore.workflows.stores import contents

StoreOf = Callable[..., Path]


def test_only_what_differs_is_written_and_it_is_as_before(own_store: StoreOf) -> None:
    store = own_store()
    objects, sound = LocalObjects(store), contents(store)
    frozen, manifest = load_frozen(objects), parse_manifest(objects.get("manifest.json"), name="manifest.json")
    (store / "sites/embed/values/c/1/0").write_bytes(b"damaged")
    (store / "commits/2.json").unlink()
    with rows_of_model(objects, frozen, FakeModel()) as planned:
        written, failed = write_again(planned, objects, frozen, manifest, [1, 2], rewrite=False, progress=Silent())
    assert (sorted(written), failed) == (["commits/2.json", "sites/embed/values/c/1/0"], [])
    assert contents(store) == sound


def test_another_model_gives_no_rows(own_store: StoreOf) -> None:
    objects = LocalObjects(own_store())
    with pytest.raises(RecipeChangedError), rows_of_model(objects, load_frozen(objects), FakeModel(width=8)):
        pass
