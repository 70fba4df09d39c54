from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.tasks import TaskRows
from actstore.extract.task import extract_task
from actstore.store.plan.tasks import plan_tasks
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.testing.fake_model import FakeModel

RowsOf = Callable[[ObjectStore, int], TaskRows]


@pytest.fixture(scope="session")
def rows_of(fake_model: FakeModel) -> RowsOf:
    """Return the rows of a task as they were before encoding."""

    def rows(objects: ObjectStore, task: int) -> TaskRows:
        frozen = load_frozen(objects)
        with StoredSequences(objects) as sequences:
            plan = plan_tasks(sequences.table(tuple(frozen.recipe.splits.fractions)), frozen.recipe.row_rules)
            return extract_task(plan.task(task), sequences, fake_model, tokens_per_batch=4096, parallel=map)

    return rows


@pytest.fixture(scope="session")
def all_rows(store_of: Callable[..., Path], rows_of: RowsOf) -> dict[str, NDArray[np.float32]]:
    """All rows of the default store at each site, [N, D], before encoding."""
    objects = LocalObjects(store_of())
    tasks = [rows_of(objects, task).values for task in range(load_frozen(objects).tasks)]
    return {site: np.concatenate([values[site] for values in tasks]) for site in tasks[0]}
