"""How many objects and bytes a plan will take, to the byte where chunks are not compressed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actstore.contracts.models import Site
from actstore.contracts.recipe import StoreRecipe
from actstore.quantize.table import QUANTIZERS
from actstore.store.layout import ArraySpec, row_arrays, statistics_arrays
from actstore.store.shard import index_bytes

__all__ = ["Footprint", "footprint", "is_payload", "payload_bytes_per_row"]


class Footprint(NamedTuple):
    """What the tasks of a store will write, commits and metadata aside."""

    objects: int
    bytes: int


def footprint(task_rows: Sequence[int], sites: Sequence[Site], store: StoreRecipe, *, encoding: str) -> Footprint:
    """Add up the objects of all tasks.

    Parameters
    ----------
    task_rows
        Rows of each task.
    sites
        Names and widths.
    store
        Sizes of tasks and chunks. A compressor would make the values smaller; that is not known before.
    encoding
        Name of an encoding.
    """
    arrays = row_arrays(sites, QUANTIZERS[encoding], store, sum(task_rows))
    statistics = statistics_arrays(sites, len(task_rows))
    fixed = sum(index_bytes(spec) for spec in arrays) + sum(spec.row_bytes for spec in statistics)
    row_bytes = sum(spec.row_bytes for spec in arrays)
    stored_rows = sum(-(-rows // store.chunk_rows) * store.chunk_rows for rows in task_rows)
    objects = len(task_rows) * (len(arrays) + len(statistics))
    return Footprint(objects, stored_rows * row_bytes + len(task_rows) * fixed)


def payload_bytes_per_row(sites: Sequence[Site], store: StoreRecipe, *, encoding: str) -> int:
    """Return the bytes of one row's values and scales, uncompressed."""
    arrays = row_arrays(sites, QUANTIZERS[encoding], store, 1)
    return sum(spec.row_bytes for spec in arrays if is_payload(spec))


def is_payload(spec: ArraySpec) -> bool:
    """Return whether an array holds values or row scales, not where rows came from."""
    return not spec.path.startswith("rows/")
