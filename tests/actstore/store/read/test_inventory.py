"""Which paths belong to a store, and whose they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.store.read.inventory import Inventory, is_below, other_stores
from actstore.store.write.commit import load_commit
from actstore.store.write.frozen_recipe import load_frozen

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def inventory(store_of: StoreOf) -> Inventory:
    return Inventory.of(load_frozen(LocalObjects(store_of())))


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16", "bfloat16"])
def test_everything_in_a_complete_store_belongs_to_it(store_of: StoreOf, encoding: str) -> None:
    objects = LocalObjects(store_of(**({} if encoding == "int8" else {"store.encoding": encoding})))
    frozen = load_frozen(objects)
    inventory = Inventory.of(frozen)
    assert all(inventory.why_unnamed(path, range(frozen.tasks)) is None for path in objects.sizes())
    for task in range(frozen.tasks):
        assert {inventory.task_of(path) for path in load_commit(objects, task).objects} == {task}


@pytest.mark.parametrize("path", ["README.md", "croissant.json", ".gitattributes"])
def test_what_a_published_store_has_beside_belongs_to_it_at_its_root_only(path: str, inventory: Inventory) -> None:
    assert inventory.why_unnamed(path, set()) is None
    assert inventory.why_unnamed(f"sites/{path}", set()) is not None


def test_without_a_commit_the_objects_of_a_task_do_not(inventory: Inventory) -> None:
    assert inventory.why_unnamed("sites/embed/values/c/2/0", {1, 3}) == "task 2 has no commit"
    assert inventory.why_unnamed("commits/2.json", {1, 3}) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "c/2",
        "rows/token/c/",
        "rows/token/c/2/0",
        "rows/token/c/02",
        "rows/token/c/٢",
        "rows/token/c/-2",
        "rows/token/c/2/../2",
        "rows/token/c/9999999999999999999999",
        "rows/token",
        "sites/embed/values/c/2",
        "sites/embed/values/c/2/1",
        "sites/embed/values/c/2/0/0",
        "sites/embed/center/c/1",
        "sites/other/values/c/2/0",
        "statistics/count/c/2",
        "../rows/token/c/2",
        "Rows/token/c/2",
        "manifest.json.bak",
        "commits/02.json",
        "commits/2",
        "commits/x.json",
        "commits/2.json/0",
    ],
)
def test_what_only_looks_alike_does_not_either(path: str, inventory: Inventory) -> None:
    assert inventory.task_of(path) is None
    assert inventory.why_unnamed(path, range(100)) is not None


def test_a_commit_of_a_task_beyond_the_recipe_does_not(inventory: Inventory) -> None:
    assert inventory.why_unnamed(f"commits/{len(inventory.tasks) - 1}.json", set()) is None
    assert "the store has no task" in str(inventory.why_unnamed(f"commits/{len(inventory.tasks)}.json", set()))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["recipe.json", "manifest.json", "commits/0.json", "zarr.json", "rows/zarr.json"], ()),
        (["old/recipe.json"], ("old",)),
        (["old/manifest.json", "old/older/recipe.json", "older/manifest.json"], ("old", "older")),
        (["a/b/commits/3.json"], ("a/b",)),
        (["a/zarr.json", "a/rows/zarr.json"], ("a",)),
        (["a/zarr.json", "b/rows/zarr.json", "a/commits/x.json", "a/recipe.json.bak", "commits/old/1.json"], ()),
    ],
)
def test_another_store_is_told_by_the_names_in_it(names: list[str], found: tuple[str, ...]) -> None:
    assert other_stores(set(names)) == found


def test_what_lies_in_a_folder_is_told_from_what_only_begins_like_it() -> None:
    assert is_below("a/b", {"a/b"})
    assert is_below("a/b/c/d", {"a/b"})
    assert not any(is_below(path, {"a/b"}) for path in ("a", "a/bc", "b/a/b", ""))
