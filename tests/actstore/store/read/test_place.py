"""A store is begun in an empty place outside of all other stores, and continued wherever it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.access.open import PARTIAL, LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import UsageError
from actstore.store.read.place import check_new_place, enclosing_store
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from tests.actstore.workflows.damage import copy_objects, in_memory

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("place", ["new", "sites/embed/new", "."])
def test_no_store_is_begun_in_another(
    place: str, own_store: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel
) -> None:
    store = own_store()
    if place == ".":  # the recipe is lost
        (store / "recipe.json").unlink()
    before = files(store)
    with pytest.raises(UsageError, match=r"lies in the store|is not empty and not a store"):
        extract_with(fake_model, LocalObjects(store / place), recipe_of())
    assert files(store) == before


def test_nor_where_a_link_leads_into_one(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    (tmp_path / "link").symlink_to(store / "sites")
    with pytest.raises(UsageError, match=rf"lies in the store {store}: .*; extract to a place outside of it"):
        check_new_place(LocalObjects(tmp_path / "link" / "new"))


def test_nor_among_files_that_are_not_a_store(tmp_path: Path, recipe_of: RecipeOf, fake_model: FakeModel) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"is not empty and not a store: it holds thesis/thesis\.tex, but no recipe"):
        extract_with(fake_model, LocalObjects(tmp_path), recipe_of())
    assert files(tmp_path) == {"thesis", "thesis/thesis.tex"}


@pytest.mark.parametrize("below", ["", "store"])
def test_nor_in_the_place_of_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match=r"mine is a file, and a store is a folder; give an empty or a new folder"):
        check_new_place(LocalObjects(tmp_path / "mine" / below))


def test_nor_among_objects_in_object_storage() -> None:
    with in_memory() as objects:
        check_new_place(objects)
        for name in range(5):
            objects.put(f"notes/{name}", b"mine")
        with pytest.raises(UsageError, match="it holds notes/0, notes/1, notes/2 and 2 more"):
            check_new_place(objects)


def test_empty_folders_and_what_an_interrupted_run_left_are_no_obstacle(
    tmp_path: Path, own_store: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel
) -> None:
    (tmp_path / "new" / "rows").mkdir(parents=True)
    (tmp_path / "new" / PARTIAL).mkdir()
    (tmp_path / "new" / PARTIAL / "another-host-1-0badcafe.0123456789abcdef").touch()
    assert extract_with(fake_model, LocalObjects(tmp_path / "new"), recipe_of()).complete
    store = own_store()
    for path in store.iterdir():
        if path.name != "recipe.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert extract_with(fake_model, LocalObjects(store), recipe_of()).complete


def test_a_store_that_was_begun_in_a_folder_of_another_goes_on(
    own_store: StoreOf, store_of: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel
) -> None:
    inner = shutil.copytree(store_of(), own_store() / "inner")
    (inner / "manifest.json").unlink()
    assert extract_with(fake_model, LocalObjects(inner), recipe_of()).complete


def test_beside_a_store_is_not_in_it(own_store: StoreOf) -> None:
    store = own_store()
    check_new_place(LocalObjects(store.with_name("beside")))
    assert enclosing_store(store.with_name("beside")) is None
    assert enclosing_store(store / "runs" / "1") == store
    assert enclosing_store(store) == store


def test_a_copy_of_a_store_in_object_storage_is_a_store(store_of: StoreOf) -> None:
    with in_memory() as objects:
        copy_objects(store_of(), objects)
        check_new_place(objects)


def test_a_circle_of_links_is_in_no_store(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert enclosing_store(tmp_path / "circle" / "run") is None
