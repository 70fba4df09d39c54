"""Tasks in this process: their order, what is dropped and finished when time is over, and what errors leave."""

import _thread
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import Recipe
from actstore.errors import NumericsError
from actstore.store.write.commit import committed_tasks
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.shares import Share
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]
AHEAD = 2
"""Batches that may be begun before the first is looked at, with one thread."""


class Watched(FakeModel):
    """Calls back before each batch."""

    def __init__(self, before_batch: Callable[[int], None]) -> None:
        super().__init__(sites=["embed"], width=4)
        self._before_batch = before_batch
        self.batches = 0

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        self.batches += 1
        self._before_batch(self.batches)
        return super().activations(residues, kept)


@pytest.fixture
def recipe(recipe_of: RecipeOf) -> Recipe:
    """Tasks of a few batches each."""
    model = {"name": "fake", "tokens_per_batch": 256}
    return recipe_of(model=model, **{"store.task_rows": 512, "store.encoding": "float16"})


@pytest.fixture
def whole(recipe: Recipe, tmp_path: Path) -> dict[str, bytes]:
    extract_with(Watched(lambda _: None), LocalObjects(tmp_path / "whole"), recipe)
    return contents(tmp_path / "whole")


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "store")


def finish(objects: LocalObjects) -> dict[str, bytes]:
    assert extract_with(Watched(lambda _: None), objects, None).complete
    return contents(Path(objects.uri))


def test_a_request_drops_what_is_in_the_model_and_the_rest_is_continued(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    stop = Stop()
    model = Watched(lambda batch: stop.request() if batch == 7 else None)
    report = extract_with(model, objects, recipe, stop=stop)
    assert 7 <= model.batches <= 7 + AHEAD
    assert (report.stopped, report.complete, report.manifest_sha256) == ("request", False, None)
    done = committed_tasks(objects)
    assert len(done) == report.tasks_done
    assert 0 < report.tasks_left == report.tasks_total - len(done)
    assert not (Path(objects.uri) / "manifest.json").exists()
    assert finish(objects) == whole


def test_a_task_of_which_the_last_batch_is_done_is_finished(recipe_of: RecipeOf, objects: LocalObjects) -> None:
    stop = Stop()
    whole_tasks = recipe_of(model={"name": "fake", "tokens_per_batch": 100_000}, **{"store.encoding": "float16"})
    report = extract_with(Watched(lambda _: stop.request()), objects, whole_tasks, stop=stop)
    assert report.tasks_done in {1, 2}, "the other thread may have had the next one in hand"


def test_with_a_limit_no_task_is_begun_that_would_not_end_in_time(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    now_s = [0.0]

    def work(_batch: int) -> None:
        now_s[0] += 1.0

    stop = Stop(after_s=8.0, clock=lambda: now_s[0])
    report = extract_with(Watched(work), objects, recipe, stop=stop)
    assert report.stopped == "time"
    assert 0 < report.tasks_done < report.tasks_total
    assert now_s[0] <= 8.0 + AHEAD, "what is in the model when time is over is dropped after that batch"
    assert finish(objects) == whole


def test_without_any_time_the_store_is_begun_and_that_is_all(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    model = Watched(lambda _: None)
    report = extract_with(model, objects, recipe, stop=Stop(after_s=0.0))
    assert (model.batches, report.tasks_done, report.stopped) == (0, 0, "time")
    assert finish(objects) == whole


def test_told_to_stop_before_it_began_a_run_leaves_nothing(recipe: Recipe, objects: LocalObjects) -> None:
    stop = Stop()
    stop.request()
    report = extract_with(Watched(lambda _: None), objects, recipe, stop=stop)
    assert (report.tasks_total, report.complete, report.stopped) == (0, False, "request")
    assert not Path(objects.uri).exists()


def test_an_error_leaves_what_was_committed_and_no_thread(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    class Infinite(Watched):
        def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
            values = super().activations(residues, kept)
            return {"embed": np.full_like(values["embed"], np.inf)} if self.batches == 9 else values

    with pytest.raises(NumericsError, match="site embed: inf"):
        extract_with(Infinite(lambda _: None), objects, recipe)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("actstore-tasks")]
    assert 0 < len(committed_tasks(objects)) < 9
    assert finish(objects) == whole


def test_an_interrupt_is_what_it_was_and_leaves_no_thread(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    model = Watched(lambda batch: _thread.interrupt_main() if batch == 7 else None)
    with pytest.raises(KeyboardInterrupt):
        extract_with(model, objects, recipe)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("actstore-tasks")]
    assert finish(objects) == whole


def test_tasks_that_another_process_committed_meanwhile_are_not_done(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    reports = []

    def other(batch: int) -> None:
        if batch == 1:  # the first batch of the first task
            reports.append(extract_with(Watched(lambda _: None), objects, None, share=Share(2, 2)))

    model = Watched(other)
    report = extract_with(model, objects, recipe)
    assert reports[0].rows_extracted > 0
    assert report.complete
    assert not reports[0].complete
    # But for the one that the second thread had in hand by then.
    assert (
        report.rows - reports[0].rows_extracted
        <= report.rows_extracted
        <= report.rows - reports[0].rows_extracted + 512
    )
    assert contents(Path(objects.uri)) == whole


def test_shares_leave_the_rest_to_others_and_the_last_writes_the_manifest(
    recipe: Recipe, objects: LocalObjects, whole: dict[str, bytes]
) -> None:
    reports = [extract_with(Watched(lambda _: None), objects, recipe, share=Share(number, 3)) for number in (3, 1, 2)]
    assert [report.complete for report in reports] == [False, False, True]
    assert [report.stopped for report in reports] == [None] * 3
    assert reports[0].tasks_left == reports[0].tasks_total - len(range(2, reports[0].tasks_total, 3))
    assert sum(report.rows_extracted for report in reports) == reports[0].rows
    assert contents(Path(objects.uri)) == whole
