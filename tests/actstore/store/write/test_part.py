from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from actstore.access.open import LocalObjects
from actstore.errors import UsageError
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.part import PartFacts, refuse_part
from tests.actstore.store.write.changed import changed

StoreOf = Callable[..., Path]
SITES = ("embed", "resid_post.0", "final_norm")
TASKS = {"train": 4, "valid": 1}


@pytest.fixture
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


@pytest.mark.parametrize(
    "part",
    [
        PartFacts(sites=("embed", "final_norm")),
        PartFacts(tasks={"train": 1}),
        PartFacts(sites=SITES, tasks=TASKS),
    ],
)
def test_some_sites_and_first_tasks_are_a_part(part: PartFacts) -> None:
    assert part.problem(SITES, TASKS) is None


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (PartFacts(), "has sites or tasks"),
        (PartFacts(sites=()), "some of those of the store"),
        (PartFacts(sites=("final_norm", "embed")), "in their order"),
        (PartFacts(sites=("embed", "embed")), "in their order"),
        (PartFacts(sites=("pooler",)), "some of those of the store"),
        (PartFacts(tasks={}), "without tasks"),
        (PartFacts(tasks={"train": 5}), "5 tasks of a split that has 4"),
        (PartFacts(tasks={"test": 1}), "1 tasks of a split that has 0"),
    ],
)
def test_anything_else_is_none(part: PartFacts, problem: str) -> None:
    assert problem in str(part.problem(SITES, TASKS))


def test_a_recipe_whose_part_is_none_of_it_is_refused(frozen: FrozenRecipe) -> None:
    for part in ({"sites": ["pooler"]}, {"tasks": {"train": 10**6}}, {"tasks": {"train": 0}}, {}):
        with pytest.raises(ValidationError, match="part"):
            changed(frozen, part=part)


def test_a_part_keeps_the_digest_of_its_store_and_the_numbers_of_its_tasks(frozen: FrozenRecipe) -> None:
    part = frozen.model_copy(update={"part": PartFacts(sites=("resid_post.1",), tasks={"train": 2, "test": 1})})
    assert part.digest == frozen.digest
    assert part != frozen
    assert FrozenRecipe.model_validate_json(part.to_json()) == part
    assert [site.name for site in part.sites_here] == ["resid_post.1"]
    assert part.tasks_here == [0, 1, part.splits["test"].first_task]
    assert part.splits_here["train"].rows == 2 * part.layout.task_rows
    assert part.splits_here["test"].rows == min(part.layout.task_rows, frozen.splits["test"].rows)


def test_a_part_has_the_arrays_of_its_sites_and_names_all_in_its_commits(frozen: FrozenRecipe) -> None:
    part = frozen.model_copy(update={"part": PartFacts(sites=("resid_post.1",))})
    values = [spec.path for spec in part.task_arrays if spec.path.startswith("sites/")]
    assert values == ["sites/resid_post.1/values"]
    assert [path for path in part.metadata_paths if "embed" in path] == []
    assert part.committed_arrays == frozen.task_arrays


def test_nothing_is_extracted_into_a_part() -> None:
    refuse_part(None, uri="store")
    with pytest.raises(UsageError, match=r"store is a part of a store.*'actstore copy' that made it"):
        refuse_part(PartFacts(sites=("embed",)), uri="store")
