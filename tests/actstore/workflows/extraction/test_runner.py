"""Tasks overlap in three stages, and each stage is one task's."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import NumericsError
from actstore.extract.task import ModelRows
from actstore.store.write.commit import committed_tasks
from actstore.store.write.sequences import StoredSequences
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction.plan import plan_extraction
from actstore.workflows.extraction.runner import STAGES, TaskRunner
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]


class Slow(LocalObjects):
    """Lets nobody write an object of a task before it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may_write = threading.Event()
        self.may_write.set()

    def put_new(self, path: str, data: bytes) -> bool:
        assert self.may_write.wait(30)
        return super().put_new(path, data)


@pytest.fixture
def recipe(recipe_of: RecipeOf) -> Recipe:
    return recipe_of(**{"store.task_rows": 256})


@contextmanager
def runner_of(objects: ObjectStore, recipe: Recipe, model: FakeModel) -> Iterator[tuple[TaskRunner, int]]:
    """Give a runner and the number of tasks."""
    prepared = plan_extraction(objects, recipe, model, storage_options=None, progress=Silent())
    with StoredSequences(objects) as source:
        rows = ModelRows(source, model, prepared.frozen.tokens_per_batch)
        with TaskRunner(prepared, rows, objects, threads=2) as runner:
            yield runner, prepared.frozen.tasks


def run(runner: TaskRunner, tasks: Iterable[int], on_rows: Callable[[int], None] | None = None) -> None:
    for task in tasks:
        runner.begin()
        runner.do(task, on_rows=on_rows)


def test_a_task_is_committed_when_it_is_done(recipe: Recipe, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "store")
    rows: list[int] = []
    with runner_of(objects, recipe, FakeModel()) as (runner, _):
        run(runner, [2], rows.append)
        assert committed_tasks(objects) == {2}
    assert sum(rows) == 256


def test_two_tasks_are_computed_and_encoded_and_no_more_while_the_first_is_not_written(
    recipe: Recipe, tmp_path: Path
) -> None:
    objects = Slow(tmp_path / "store")
    computed: list[int] = []
    with runner_of(objects, recipe, FakeModel()) as (runner, tasks):
        assert tasks > STAGES + 1
        enough, too_many = threading.Event(), threading.Event()
        objects.may_write.clear()

        def count(rows: int) -> None:
            computed.append(rows)
            if sum(computed) > 256 * (STAGES - 1):
                enough.set()
            if sum(computed) > 256 * STAGES:
                too_many.set()

        callers = [threading.Thread(target=run, args=(runner, [task], count)) for task in range(tasks)]
        for caller in callers:
            caller.start()
        assert enough.wait(30)
        assert not too_many.wait(0.2)
        objects.may_write.set()
        for caller in callers:
            caller.join()
    assert committed_tasks(objects) == set(range(tasks))


def test_a_task_that_fails_leaves_the_model_to_the_next(recipe: Recipe, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "store")

    def refuse(_: int) -> None:
        raise NumericsError("enough")

    with runner_of(objects, recipe, FakeModel()) as (runner, _):
        with pytest.raises(NumericsError, match="enough"):
            run(runner, [0], refuse)
        with pytest.raises(IndexError):
            run(runner, [10**6])
        runner.begin()
        runner.leave()
        run(runner, [1])
    assert committed_tasks(objects) == {1}


def test_tasks_are_the_same_whoever_does_them(recipe: Recipe, tmp_path: Path) -> None:
    with runner_of(LocalObjects(tmp_path / "one"), recipe, FakeModel()) as (runner, tasks):
        run(runner, range(tasks))
    with runner_of(LocalObjects(tmp_path / "other"), recipe, FakeModel()) as (runner, tasks):
        callers = [threading.Thread(target=run, args=(runner, range(first, tasks, 3))) for first in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
