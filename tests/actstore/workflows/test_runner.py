"""Tasks overlap, keep their order, and an error stops what has not begun."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.contracts.objects import ObjectStore
from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import NumericsError
from actstore.store.commit import committed_tasks
from actstore.store.objects import LocalObjects
from actstore.store.sequences import StoredSequences
from actstore.testing.fake_model import FakeModel
from actstore.workflows.prepare import prepare
from actstore.workflows.runner import STAGES, TaskRunner
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]


class Watched(FakeModel):
    """Calls back before every forward pass."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.before = before

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        self.before()
        return super().activations(residues, kept)


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
    prepared = prepare(objects, recipe, model, storage_options=None, progress=Silent())
    with StoredSequences(objects) as source, TaskRunner(prepared, source, model, objects, threads=2) as runner:
        yield runner, prepared.frozen.tasks


def test_tasks_are_committed_in_their_order_and_told_of(recipe: Recipe, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "store")
    rows: list[int] = []
    told: list[int] = []
    with runner_of(objects, recipe, Watched()) as (runner, tasks):
        runner.run(range(tasks), on_rows=rows.append, on_commit=told.append)
    assert told == list(range(tasks))
    assert committed_tasks(objects) == set(range(tasks))
    assert sum(rows) > 256 * (tasks - 3)


def test_two_tasks_are_computed_and_no_third_while_the_first_is_not_written(recipe: Recipe, tmp_path: Path) -> None:
    objects = Slow(tmp_path / "store")
    model = Watched()
    computed: list[int] = []
    with runner_of(objects, recipe, model) as (runner, tasks):
        assert tasks > STAGES + 1
        enough, too_many = threading.Event(), threading.Event()
        objects.may_write.clear()

        def count(rows: int) -> None:
            computed.append(rows)
            if sum(computed) > 256 * (STAGES - 1):
                enough.set()
            if sum(computed) > 256 * STAGES:
                too_many.set()

        running = threading.Thread(target=runner.run, args=(range(tasks),), kwargs={"on_rows": count})
        running.start()
        assert enough.wait(30)
        assert not too_many.wait(0.2)
        objects.may_write.set()
        running.join()
    assert committed_tasks(objects) == set(range(tasks))


def test_an_error_ends_it_and_what_was_under_way_before_is_committed(recipe: Recipe, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "store")
    seen: list[int] = []

    def drop_the_fourth(rows: int) -> None:
        seen.append(rows)
        if sum(seen) > 256 * 3:
            raise NumericsError("enough")

    with runner_of(objects, recipe, Watched()) as (runner, tasks):
        assert tasks > 6
        with pytest.raises(NumericsError, match="enough"):
            runner.run(range(tasks), on_rows=drop_the_fourth)
    done = committed_tasks(objects)
    assert done >= {0, 1, 2}
    assert 3 not in done
    assert len(done) < tasks


def test_whoever_calls_it_from_several_threads_gets_the_same_store(recipe: Recipe, tmp_path: Path) -> None:
    with runner_of(LocalObjects(tmp_path / "one"), recipe, Watched()) as (runner, tasks):
        runner.run(range(tasks))
    with runner_of(LocalObjects(tmp_path / "other"), recipe, Watched()) as (runner, tasks):

        def some(first: int) -> None:
            for task in range(first, tasks, 3):
                runner.do(task)

        callers = [threading.Thread(target=some, args=(first,)) for first in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
