"""Streams and batches as several tests look at them."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actstore.store.read.open import open_manifest
from actstore.stream.batch import Batch

__all__ = ["SMALL", "arrays_of", "assert_same", "end_of_threads", "rows_of", "same", "split_rows"]

SMALL = 1 << 17
"""Bytes of a buffer that holds two batches of 256 rows of the small store twice, so that an epoch has many fills."""


def rows_of(batches: Iterable[Batch]) -> list[int]:
    """Return the global rows of some batches, in order."""
    return [int(row) for batch in batches for row in batch.row_B]


def arrays_of(batch: Batch) -> list[NDArray[Any]]:
    """Return what a batch consists of; a batch on a device is fetched from there."""
    return [np.asarray(batch.values_BSD), *batch[1:]]


def same(one: Batch, other: Batch) -> bool:
    """Return whether two batches are equal to the bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(arrays_of(one), arrays_of(other), strict=True))


def assert_same(some: Iterable[Batch], others: Iterable[Batch]) -> None:
    """Fail unless two runs of batches are equal to the bit."""
    for number, (one, other) in enumerate(zip(some, others, strict=True)):
        assert same(one, other), f"batch {number} differs"


def split_rows(store: Path, split: str | None) -> list[int]:
    """Return the global rows of a split as the manifest tells them."""
    manifest = open_manifest(store)
    task_rows = manifest.frozen.recipe.store.task_rows
    splits = manifest.splits.values() if split is None else [manifest.splits[split]]
    return [
        task * task_rows + row
        for part in splits
        for task in range(part.first_task, part.first_task + part.tasks)
        for row in range(manifest.frozen.rows_of(task))
    ]


def end_of_threads() -> None:
    """Wait for threads that fetch; fail if one of them stays."""
    for thread in threading.enumerate():
        if thread.name.startswith("actstore-fetch"):
            thread.join(60)
            assert not thread.is_alive(), f"{thread.name} is left"
