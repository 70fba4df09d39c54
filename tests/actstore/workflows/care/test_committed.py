"""Commits beside their objects; kinds of damage are in `test_examine.py`, lies in `tests/hostile`."""

import shutil
from collections.abc import Callable
from pathlib import Path

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.store.care.agreement import stored_plan
from actstore.store.read.open import locate_store
from actstore.workflows.care.committed import Expected, compare_commits, named_commits

StoreOf = Callable[..., Path]


def test_each_task_is_compared_once_and_with_the_plan(own_store: StoreOf) -> None:
    store = own_store()
    manifest, _ = locate_store(store)
    assert named_commits(manifest).keys() == set(range(manifest.frozen.tasks))
    shutil.copy(store / "rows/position/c/1", store / "rows/position/c/0")
    objects = LocalObjects(store)
    with stored_plan(objects, manifest.frozen) as plan:
        expected = Expected(manifest.frozen, manifest, plan)
        everything = compare_commits(objects, expected, done=range(4), tasks=None, progress=Silent())
        one = compare_commits(objects, expected, done=[1], tasks=[1], progress=Silent())
    assert [(fault.object, fault.task) for fault in everything.faults] == [("rows/position/c/0", 0)]
    assert (one.commits, one.faults) == ((1,), ())
    assert 0 < one.bytes < everything.bytes
