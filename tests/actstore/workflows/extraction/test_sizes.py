"""Sizes follow from sites and corpus; what cannot fit is said before anything is run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.models import Site
from actstore.contracts.recipe import Recipe
from actstore.errors import StoreError
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters.connect import Cluster, ExistingScheduler, LocalWorkers
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extract import extract_on, extract_with
from actstore.workflows.extraction import sizes
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.sizes import check_room, choose_task_rows, task_memory

RecipeOf = Callable[..., Recipe]


def recipe(**store: object) -> Recipe:
    return Recipe.model_validate({"model": {"name": "m"}, "corpus": {"sequences": "a.fasta"}, "store": store})


def sites(count: int, width: int) -> list[Site]:
    return [Site(f"resid_post.{index}", f"block.{index}", width) for index in range(count)]


@pytest.mark.parametrize(
    ("count", "width", "residues", "rows"),
    [
        (8, 128, 1_100_000, 16_384),
        (24, 1024, 512_000_000, 16_384),
        (49, 2560, 10**9, 4_096),
        (2, 2560, 2_500_000_000, 32_768),
        (1, 320, 10**11, 262_144),
    ],
)
def test_tasks_fit_into_memory_and_do_not_become_too_many(count: int, width: int, residues: int, rows: int) -> None:
    chosen = choose_task_rows(recipe(), sites(count, width), residues=residues).store.task_rows
    assert chosen == rows
    assert chosen * count * width * 4 <= 2 << 30


def test_what_the_recipe_says_is_kept() -> None:
    assert choose_task_rows(recipe(task_rows=512), sites(49, 2560), residues=10**9).store.task_rows == 512


def test_a_store_is_frozen_with_the_rows_that_were_chosen_and_continued_with_them(
    recipe_of: RecipeOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "TASK_BYTES", 1 << 20)
    asked = recipe_of()
    asked = asked.model_copy(update={"store": type(asked.store)(chunk_rows=64)})
    objects = LocalObjects(tmp_path / "store")
    model = FakeModel(sites=["embed", "final_norm"], width=64)
    assert extract_with(model, objects, asked).complete
    assert load_frozen(objects).recipe.store.task_rows == 2048
    assert extract_with(model, objects, asked).rows_extracted == 0


@pytest.fixture
def frozen(store_of: Callable[..., Path]) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


def test_too_little_memory_is_told_with_the_rows_that_would_fit(
    frozen: FrozenRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = LocalObjects(tmp_path / "store")
    check_room(objects, frozen)
    monkeypatch.setattr(sizes, "available_memory", lambda: task_memory(frozen) // 2)
    with pytest.raises(StoreError, match=r"of memory beside the model, and .* are free.*store\.task_rows=\d+"):
        check_room(objects, frozen)
    check_room(objects, frozen, tasks_done=frozen.tasks)


def test_processes_of_one_machine_need_their_memory_together_and_others_none(
    frozen: FrozenRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = LocalObjects(tmp_path / "store")
    monkeypatch.setattr(sizes, "available_memory", lambda: 2 * task_memory(frozen))
    check_room(objects, frozen, processes=2)
    with pytest.raises(StoreError, match=r"in 4 processes, and .* use fewer processes"):
        check_room(objects, frozen, processes=4)
    monkeypatch.setattr(sizes, "available_memory", lambda: 0)
    check_room(objects, frozen, processes=0)


@pytest.mark.parametrize("cluster", [LocalWorkers(1), ExistingScheduler("tcp://127.0.0.1:9")])
def test_a_store_that_is_continued_on_workers_is_refused_before_they_are_asked_for(
    cluster: Cluster, recipe_of: RecipeOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects, recipe = LocalObjects(tmp_path / "store"), recipe_of()
    extract_with(FakeModel(), objects, recipe, stop=Stop(after_s=0))
    monkeypatch.setattr(sizes, "free_disk", lambda _: 1000)
    with pytest.raises(StoreError, match=r"are to be written and 1\.0 kB are free there"):
        extract_on(cluster, objects, order=WorkOrder(objects.uri, None, recipe.model, "cpu"))


def test_a_disk_that_is_too_small_for_what_is_left_is_told(
    frozen: FrozenRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = LocalObjects(tmp_path / "not" / "yet")
    monkeypatch.setattr(sizes, "free_disk", lambda _: 1000)
    with pytest.raises(StoreError, match=r"are to be written and 1\.0 kB are free there; take another place"):
        check_room(objects, frozen)
    check_room(objects, frozen, tasks_done=frozen.tasks)
    check_room(open_objects("memory://somewhere"), frozen)
