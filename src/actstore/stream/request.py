"""Match a stream request with a store: sites, tasks, sizes of fills and windows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from actstore.contracts.suggest import did_you_mean
from actstore.errors import IncompleteStoreError, NoSplitError, StreamError
from actstore.store.read.manifest import Manifest
from actstore.stream.config import OrderName
from actstore.stream.seats import Seat

__all__ = ["BESIDE_BYTES", "StreamRequest", "choose_tasks", "fill_batches", "window_rows"]

BESIDE_BYTES: Final = 16
"""Bytes of a row in a buffer beside its stored bytes: its place in the order, and its origin."""
_WINDOWS_PER_FILL: Final = 64
"""With fewer, larger windows a fill would mix fewer shards."""
_FEWEST_WINDOWS: Final = 32
"""In small fills windows are parts of chunks: a buffer of 5 % of 200,000 rows then gets 0.99 of uniform, not 0.85."""
_PARTS_OF_A_CHUNK: Final = 4
"""If rows are not mapped, a chunk is read again for every part; so this is small."""
_MOST_CHUNKS_PER_WINDOW: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """Which rows to stream, and how to deliver them: the parameters of `open_stream`."""

    sites: Sequence[str] | str | None = None
    batch_rows: int = 4096
    seed: int | None = 0
    split: str | None = "train"
    buffer_bytes: int = 256 << 20
    order: OrderName = "windows"
    seat: Seat | None = None
    drop_last: bool = False
    device: str | None = None
    reuse: bool = False
    kernels: Literal["torch", "numpy"] = "torch"

    def __post_init__(self) -> None:
        """Refuse unknown values, and options that contradict each other."""
        choices = (("order", self.order, get_args(OrderName)), ("kernels", self.kernels, ("torch", "numpy")))
        for name, asked, offered in choices:
            if asked not in offered:
                hint = did_you_mean(str(asked), offered)
                raise StreamError(f"{name} must be one of {', '.join(offered)}, not {asked!r}{hint}")
        for name, number in (("batch_rows", self.batch_rows), ("seed", self.seed), ("buffer_bytes", self.buffer_bytes)):
            if number is not None and not hasattr(number, "__index__"):
                raise StreamError(f"{name} is a whole number, not {number!r:.80}")
        if self.seat is not None and not isinstance(self.seat, Seat):
            raise StreamError(f"seat is a Seat(rank, world_size), not {self.seat!r:.80}")
        if self.device is not None and self.kernels == "numpy":
            raise StreamError("kernels='numpy' cannot gather on a device; leave out one of the two")
        if self.device is not None and self.order == "uniform":
            raise StreamError("order='uniform' gathers from all stored rows, so it has no buffer on a device")
        if self.seed is not None and operator.index(self.seed) < 0:
            raise StreamError(f"seed must not be negative, not {self.seed}")


def choose_tasks(
    manifest: Manifest, split: str | None, *, uri: str, allow_incomplete: bool = False, planned: bool = False
) -> list[tuple[int, int]]:
    """Return the tasks of a split and their rows: available tasks, or all planned ones."""
    frozen, splits = manifest.frozen, manifest.splits
    if split is not None and split not in splits:
        hint = did_you_mean(split, splits)
        raise NoSplitError(f"{uri}: no split {split!r}; the store has {', '.join(splits)}{hint}")
    chosen = splits.values() if split is None else [splits[split]]
    tasks = [task for part in chosen for task in range(part.first_task, part.first_task + part.tasks)]
    missing = [task for task in tasks if manifest.commits[task] is None and not planned]
    if missing and not allow_incomplete:
        raise IncompleteStoreError(
            f"{uri}: {len(missing)} of {len(tasks)} tasks are not extracted yet; finish with {frozen.how_to_finish}, "
            "or stream the available rows with allow_incomplete (--allow-incomplete)"
        )
    present = [(task, frozen.rows_of(task)) for task in tasks if planned or manifest.commits[task] is not None]
    if not present:
        raise StreamError(f"{uri}: no rows in {'the store' if split is None else f'split {split!r}'} (yet)")
    return present


def window_rows(fill_rows: int, chunk_rows: int) -> int:
    """Return how many rows are read together: some chunks, or in small fills a part of one.

    Examples
    --------
    >>> [window_rows(rows, 256) for rows in (1 << 20, 40_000, 16_384, 5_000, 1_000)]
    [4096, 512, 256, 128, 64]
    """
    chunks = min(fill_rows // (_WINDOWS_PER_FILL * chunk_rows), _MOST_CHUNKS_PER_WINDOW)
    if chunks or fill_rows >= _FEWEST_WINDOWS * chunk_rows:
        return max(chunks, 1) * chunk_rows
    part_rows = max(chunk_rows // _PARTS_OF_A_CHUNK, 1)
    return max(fill_rows // (_FEWEST_WINDOWS * part_rows), 1) * part_rows


def fill_batches(buffer_bytes: int, row_bytes: int, batch_rows: int, *, rows: int) -> int:
    """Return the batches that half of a buffer holds."""
    if batch_rows < 1:
        raise StreamError(f"batch_rows must be at least 1, not {batch_rows}")
    batches = buffer_bytes // (2 * row_bytes * batch_rows)
    if not batches:
        raise StreamError(
            f"buffer_bytes = {buffer_bytes:,} cannot hold two batches of {batch_rows:,} rows of {row_bytes:,} bytes; "
            f"give at least {2 * row_bytes * batch_rows:,}"
        )
    return min(batches, -(-rows // batch_rows))
