"""What a worker does with a task, without Dask around it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.clusters.worker import Job, StorePlugin, do_on_worker, software, tell_worker
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.deadline import Stop
from tests.actstore.workflows.clusters import worker_models

RecipeOf = Callable[..., Recipe]
WORKER: Any = SimpleNamespace(address="tcp://worker:1")


@pytest.fixture
def job(recipe_of: RecipeOf, tmp_path: Path) -> Job:
    store, control = LocalObjects(tmp_path / "store"), tmp_path / "control"
    control.mkdir()
    recipe = recipe_of(model={"name": str(control)})
    extract_with(FakeModel(sites=["embed", "final_norm"]), store, recipe, stop=Stop(after_s=0))
    options = {"key": "open-sesame", "secret": "hush-hush"}
    order = WorkOrder(str(tmp_path / "store"), options, recipe.model, "cpu", worker_models.load_fake)
    return Job("a-run", order, load_frozen(store).digest, software(), own_processes=False)


@pytest.fixture
def starting() -> Iterator[Callable[[Job], None]]:
    plugins: list[StorePlugin] = []

    def start(job: Job) -> None:
        plugins.append(StorePlugin(job))
        plugins[-1].setup(WORKER)

    yield start
    for plugin in plugins:
        plugin.teardown(WORKER)


def test_a_task_is_committed_once_and_found_the_next_time(
    job: Job, starting: Callable[[Job], None], tmp_path: Path
) -> None:
    starting(job)
    assert [do_on_worker("a-run", 3).ending for _ in range(2)] == ["committed", "found"]
    assert committed_tasks(LocalObjects(tmp_path / "store")) == {3}


@pytest.mark.parametrize("drop", [False, True])
def test_told_to_stop_it_begins_nothing(drop: bool, job: Job, starting: Callable[[Job], None], tmp_path: Path) -> None:
    starting(job)
    tell_worker("a-run", drop=drop)
    tell_worker("another", drop=drop)
    assert do_on_worker("a-run", 3).ending == "dropped"
    assert not committed_tasks(LocalObjects(tmp_path / "store"))


def test_a_job_that_ended_is_unknown(job: Job) -> None:
    plugin = StorePlugin(job)
    plugin.setup(WORKER)
    plugin.teardown(WORKER)
    error = do_on_worker("a-run", 3).error
    assert error is not None
    assert error[0] == "WorkerError"
    assert "does not know the job a-run" in error[1]


def test_other_versions_and_another_store_are_errors(job: Job, starting: Callable[[Job], None]) -> None:
    starting(replace(job, software={**job.software, "actstore": "0.0.9"}))
    error = do_on_worker("a-run", 3).error
    assert error is not None
    assert "worker tcp://worker:1 has actstore " in error[1]
    assert " instead of 0.0.9" in error[1]
    starting(replace(job, recipe_sha256="0" * 64))
    error = do_on_worker("a-run", 3).error
    assert error is not None
    assert error[0] == "CorruptObjectError"
    assert "finds another recipe there" in error[1]


def test_credentials_are_in_no_representation(job: Job) -> None:
    for shown in (repr(job), repr(job.order), repr(StorePlugin(job)), str(job)):
        assert "open-sesame" not in shown
        assert "hush" not in shown
