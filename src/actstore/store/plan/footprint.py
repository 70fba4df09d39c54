"""Objects and bytes of a plan, exact to the byte if chunks are not compressed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from actstore.store.format.layout import (
    ArraySpec,
    StoreLayout,
    array_specs,
    calibration_arrays,
    metadata_paths,
    row_arrays,
    statistics_arrays,
    values_path,
)
from actstore.store.format.shard import index_bytes

__all__ = ["Footprint", "ReadRow", "footprint", "is_payload", "payload_bytes_per_row", "read_row", "writes"]

_DOCUMENTS: Final = 3
"""`recipe.json`, `sequences.parquet` and `manifest.json`."""


class Footprint(NamedTuple):
    """Objects and bytes of the tasks of a store, without commits and metadata."""

    tasks: int
    objects: int
    bytes: int


def footprint(split_rows: Sequence[int], layout: StoreLayout) -> Footprint:
    """Add up the objects of all tasks.

    Parameters
    ----------
    split_rows
        Rows of each split: each begins with a task of its own.
    layout
        Sites, encoding, sizes of tasks and chunks. A compressor would make the values smaller; that is not known
        before.
    """
    tasks = sum(-(-rows // layout.task_rows) for rows in split_rows)
    # A task is a whole number of chunks, so only the last task of a split ends within one.
    stored_rows = sum(-(-rows // layout.chunk_rows) * layout.chunk_rows for rows in split_rows)
    arrays = row_arrays(layout, sum(split_rows))
    statistics = statistics_arrays(layout.sites, tasks)
    fixed = sum(index_bytes(spec) for spec in arrays) + sum(spec.row_bytes for spec in statistics)
    row_bytes = sum(spec.row_bytes for spec in arrays)
    objects = len(arrays) + len(statistics)
    return Footprint(tasks, tasks * objects, stored_rows * row_bytes + tasks * fixed)


def payload_bytes_per_row(layout: StoreLayout) -> int:
    """Return the bytes of one row's values and scales, uncompressed."""
    arrays = row_arrays(layout, 1)
    return sum(spec.row_bytes for spec in arrays if is_payload(spec))


def writes(split_rows: Sequence[int], layout: StoreLayout) -> int:
    """Return how many objects an extraction writes: those of the tasks, their commits, and everything about them."""
    made = footprint(split_rows, layout)
    specs = array_specs(layout, length=sum(split_rows), tasks=made.tasks)
    calibration = len(calibration_arrays(layout.sites)) if layout.quantizer.calibrated else 0
    return made.objects + made.tasks + len(metadata_paths(specs)) + calibration + _DOCUMENTS


class ReadRow(NamedTuple):
    """Bytes of one row that a stream of some sites reads."""

    arrays: int
    payload_bytes: int
    """Values and scales."""
    bytes: int
    """The same, with the number of its sequence."""


def read_row(layout: StoreLayout, read: Collection[str]) -> ReadRow:
    """Return what a stream reads of each row. Scales of all sites lie together, so all of them are read."""
    values = {values_path(name) for name in read}
    others = {values_path(site.name) for site in layout.sites} - values
    specs = [
        spec
        for spec in row_arrays(layout, 1)
        if spec.path == "rows/sequence" or (is_payload(spec) and spec.path not in others)
    ]
    payload = sum(spec.row_bytes for spec in specs if is_payload(spec))
    return ReadRow(len(specs), payload, sum(spec.row_bytes for spec in specs))


def is_payload(spec: ArraySpec) -> bool:
    """Return whether an array holds values or scales; otherwise it holds positions of rows."""
    return not spec.path.startswith("rows/")
