from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.store.care.moments import compare_statistics, spread_tasks
from actstore.store.read.open import locate_store

StoreOf = Callable[..., Path]


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8", "int4"])
def test_statistics_are_those_of_the_rows(store_of: StoreOf, encoding: str) -> None:
    manifest, objects = locate_store(store_of(**{"store.encoding": encoding}))
    for task in range(manifest.frozen.tasks):
        assert list(compare_statistics(objects, manifest, task)) == []


def test_tasks_are_spread_over_all_that_are_done() -> None:
    assert spread_tasks([3], 4) == [3]
    assert spread_tasks(list(range(10, 20)), 4) == [10, 13, 16, 19]
