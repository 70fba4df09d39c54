from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError
from actstore.store.write.frozen_recipe import load_frozen
from actstore.view.reports import ExtractReport
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.executors import Tally
from actstore.workflows.extraction.missing_tasks import do_missing_tasks, stopped_early
from actstore.workflows.extraction.shares import Share

StoreOf = Callable[..., Path]


class Copying:
    """An executor that puts back commits which were taken away."""

    def __init__(self, commits: dict[int, bytes], store: Path) -> None:
        self.commits, self.store = commits, store
        self.asked: list[int] = []

    def run(self, tasks: Sequence[int], *, stop: Stop, tally: Tally) -> None:
        self.asked += tasks
        for task in tasks:
            (self.store / f"commits/{task}.json").write_bytes(self.commits[task])
            tally.committed(task)


@pytest.fixture
def half(own_store: StoreOf) -> tuple[Path, Copying]:
    """A store without the commits of tasks 1 and 2, and an executor that has them."""
    store = own_store()
    commits = {task: (store / f"commits/{task}.json").read_bytes() for task in (1, 2)}
    for task in commits:
        (store / f"commits/{task}.json").unlink()
    return store, Copying(commits, store)


def do(store: Path, executor: Copying, *, share: Share | None = None, stop: Stop | None = None) -> ExtractReport:
    objects = LocalObjects(store)

    @contextmanager
    def opened(_tasks_done: int) -> Iterator[Copying]:
        yield executor

    return do_missing_tasks(
        objects, load_frozen(objects), opened, progress=Silent(), share=share, stop=stop or Stop(), title="copying"
    )


def test_only_missing_tasks_are_done_and_the_last_writes_the_manifest(half: tuple[Path, Copying]) -> None:
    store, executor = half
    (store / "manifest.json").unlink()
    report = do(store, executor)
    assert (executor.asked, report.complete, report.tasks_left) == ([1, 2], True, 0)
    assert (store / "manifest.json").is_file()
    assert do(store, executor).rows_extracted == 0
    assert executor.asked == [1, 2]


def test_a_share_leaves_the_others(half: tuple[Path, Copying]) -> None:
    store, executor = half
    report = do(store, executor, share=Share(2, 2))
    assert (executor.asked, report.complete, report.tasks_left) == ([1], False, 1)
    assert report.stopped is None


def test_a_run_that_may_not_begin_says_so(half: tuple[Path, Copying]) -> None:
    store, executor = half
    stop = Stop()
    stop.request()
    report = do(store, executor, stop=stop)
    assert (executor.asked, report.stopped, report.tasks_left) == ([], "request", 2)
    assert stopped_early(LocalObjects(store), stop).tasks_left == 2


def test_a_commit_of_a_task_that_the_recipe_does_not_have(half: tuple[Path, Copying]) -> None:
    store, executor = half
    (store / "commits/999.json").write_bytes(executor.commits[1])
    with pytest.raises(CorruptObjectError, match="a commit of task 999"):
        do(store, executor)
