"""Open a stream on a store."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import Site
from actstore.contracts.objects import ObjectStore
from actstore.contracts.windows import RowWindow
from actstore.errors import IncompleteStoreError, SiteError, StreamError
from actstore.quantize.table import QUANTIZERS
from actstore.store.cached import CachedObjects
from actstore.store.manifest import Manifest
from actstore.store.mapped import MappedRows, mapping_obstacle
from actstore.store.objects import LocalObjects, open_objects
from actstore.store.open import open_store
from actstore.store.reader import StoreReader
from actstore.store.selection import StoredColumns
from actstore.store.sequences import StoredSequences
from actstore.stream.gather import Gather, NumpyGather, RowDecoding
from actstore.stream.order import TaskRuns
from actstore.stream.seats import Seat
from actstore.stream.stages import BufferedStage, FillStage, MappedStage
from actstore.stream.stream import OrderName, Stream, StreamConfig, StreamSource

__all__ = ["open_stream"]

_THREADS: Final = 4
_REMOTE_THREADS: Final = 32
"""Of storage far away. benchmarks/results/s3_stream.json: over 20 ms thrice the rate of 4, a fifth over 16."""
_WINDOWS_PER_FILL: Final = 64
"""A fill of fewer, larger windows would draw on fewer shards than it could."""
_FEWEST_WINDOWS: Final = 32
"""In small fills windows are parts of chunks: a buffer of 5 % of 200,000 rows then gets 0.99 of uniform, not 0.85."""
_PARTS_OF_A_CHUNK: Final = 4
"""Where rows are not mapped, a chunk is read again for every part; so not too many."""
_MOST_CHUNKS_PER_WINDOW: Final = 16
_UNIFORM_FILL_BATCHES: Final = 16
"""Batches whose rows are worked out ahead; nothing is held for them."""


def open_stream(
    source: str | os.PathLike[str] | Manifest,
    *,
    sites: Sequence[str] | None = None,
    batch_rows: int = 4096,
    seed: int = 0,
    split: str | None = "train",
    buffer_bytes: int = 256 << 20,
    order: OrderName = "windows",
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = False,
    device: str | None = None,
    allow_incomplete: bool = False,
    copy: bool = False,
    kernels: Literal["torch", "numpy"] = "torch",
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
) -> Stream:
    """Open a stream of shuffled batches.

    Local stores without compression are gathered from where they lie (memory maps); others are read into buffers.

    Parameters
    ----------
    source
        Path or URL of a store, an exported manifest file, or a manifest with its `uri`.
    sites
        Names or globs; None for all. The order given is the order of axis S of a batch. All must have one width.
    batch_rows
        Rows of a batch.
    seed
        Seeds the order of rows.
    split
        Name of a split; None for all rows.
    buffer_bytes
        Memory for encoded rows: two fills, one being consumed while the next is fetched. The larger, the better mixed;
        5 % of the store is hardly told from uniform. Of no effect on `order="uniform"`.
    order
        `windows` mixes the rows of windows from many shards in a buffer, and suits any storage. `uniform` is a true
        permutation of all rows, for local stores without compression; best if the store fits into memory, since rows
        are read one by one.
    rank, world_size
        Which of how many processes this is. All get the same number of batches, and each row goes to one of them.
        What does not make a full batch for every process is divided evenly into smaller ones at the end of the epoch.
    drop_last
        Leave out those smaller batches, and with them fewer than ``batch_rows * world_size`` rows.
    device
        Keep the buffer on a device of torch: encoded rows cross the bus, are gathered and decoded there, and batches
        are tensors.
    allow_incomplete
        Stream what is there of a store whose extraction has not finished.
    copy
        Give every batch memory of its own; otherwise a batch is valid until the third one after it.
    kernels
        What gathers and decodes rows. `numpy` does not import torch, and is slower (five times for float16); int8
        values may differ in the last bit between the two.
    storage_options
        Passed to fsspec.
    cache, cache_bytes
        A folder on a local disk that keeps what is read of a store far away, and how much of it; other processes may
        use the same. What is kept is checked each time it is used.

    Returns
    -------
    Stream
        Yields `Batch(values_BSD, row_B, sequence_B)`.

    Raises
    ------
    SiteError
        If a site matches nothing, or the sites differ in width.
    IncompleteStoreError
        If tasks of the split are missing and `allow_incomplete` is not set.
    StreamError
        If there is no such split, it is empty, the seed is negative, the buffer cannot hold a batch, the rows cannot be
        dealt to so many processes, the order is not possible on this store, or options contradict each other.
    UsageError, StoreError
        If `cache_bytes` is missing or too small, or the folder cannot be used.
    """
    _check_choices(order, kernels, device)
    seed, batch_rows = operator.index(seed), operator.index(batch_rows)
    if seed < 0:
        raise StreamError(f"seed must not be negative, not {seed}")
    manifest, objects = _with_cache(*_open(source, storage_options), cache, cache_bytes)
    chosen = _match_sites(manifest.sites, sites, uri=objects.uri)
    names = tuple(site.name for site in chosen)
    width = _common_width(chosen)
    tasks = _tasks(manifest, split, uri=objects.uri, allow_incomplete=allow_incomplete)
    runs = TaskRuns.of(tasks, task_rows=manifest.frozen.recipe.store.task_rows)
    columns = StoredColumns.of(manifest, names, uri=objects.uri)
    chunk_rows = manifest.frozen.recipe.store.chunk_rows
    fill_batches, window_rows = _UNIFORM_FILL_BATCHES, chunk_rows
    if order == "windows":
        fill_batches = _fill_batches(buffer_bytes, columns.layout.row_bytes + 16, batch_rows, rows=runs.rows)
        window_rows = _window_rows(fill_batches * batch_rows, chunk_rows)
    decoding = RowDecoding(
        QUANTIZERS[manifest.encoding],
        width,
        columns.site_columns,
        tuple(manifest.frozen.site_calibration(name) for name in names),
    )
    config = StreamConfig(
        batch_rows=batch_rows,
        fill_batches=fill_batches,
        window_rows=window_rows,
        order=order,
        seed=seed,
        seat=Seat(rank, world_size),
        drop_last=drop_last,
        threads=_THREADS if isinstance(objects, LocalObjects) else _REMOTE_THREADS,
    )
    most_rows = min(batch_rows, runs.rows)
    stage: FillStage
    gather: Gather
    if device is not None:
        from actstore.stream.torch_device import DeviceGather, DeviceStage  # noqa: PLC0415 - only with torch

        reader = StoreReader(objects, manifest, columns)
        try:
            stage = DeviceStage(reader, rows=config.fill_batches * batch_rows, device=device)
            gather = DeviceGather(decoding, batch_rows=most_rows, device=device, copy=copy)
        except RuntimeError as error:
            raise StreamError(f"device {device!r} cannot hold the buffer: {error}") from error
    else:
        stage = _stage(objects, manifest, columns, runs, config)
        gather = _gather(kernels, decoding, most_rows, copy=copy)
    return Stream(
        StreamSource(
            manifest=manifest,
            sites=names,
            width=width,
            row_bytes=columns.layout.row_bytes,
            runs=runs,
            stage=stage,
            gather=gather,
            sequences_by_rows=partial(_sequences_by_rows, objects, manifest, split, tasks=len(tasks)),
        ),
        config,
    )


def _open(
    source: str | os.PathLike[str] | Manifest, storage_options: Mapping[str, Any] | None
) -> tuple[Manifest, ObjectStore]:
    if not isinstance(source, Manifest):
        return open_store(source, storage_options=storage_options)
    if source.uri is None:
        raise StreamError("this manifest does not say where its store is; give the path or URL of the store")
    return source, open_objects(source.uri, storage_options)


def _with_cache(
    manifest: Manifest, objects: ObjectStore, cache: str | os.PathLike[str] | None, cache_bytes: int | None
) -> tuple[Manifest, ObjectStore]:
    if cache is not None:
        return manifest, CachedObjects(objects, manifest, Path(cache), cache_bytes)
    if cache_bytes is not None:
        raise StreamError("cache_bytes (--cache-bytes) needs cache (--cache): the folder to keep them in")
    return manifest, objects


def _stage(
    objects: ObjectStore, manifest: Manifest, columns: StoredColumns, runs: TaskRuns, config: StreamConfig
) -> FillStage:
    """Map the rows where that is possible, else read them into buffers."""
    obstacle = mapping_obstacle(objects, manifest, columns, len(runs.task_T))
    mapped = None
    if obstacle is None and isinstance(objects, LocalObjects):
        try:
            mapped = MappedRows(objects, manifest, columns, runs.task_T.tolist())
        except OSError as error:
            obstacle = f"the system gives no addresses for it ({error.strerror})"
    if mapped is not None:
        everywhere = []
        if config.order == "uniform":
            everywhere = [
                RowWindow(task, 0, rows) for task, rows in zip(runs.task_T.tolist(), runs.rows_T.tolist(), strict=True)
            ]
        return MappedStage(mapped, everywhere=everywhere)
    if config.order == "uniform":
        raise StreamError(f"{objects.uri}: order='uniform' is not possible: {obstacle}; use order='windows'")
    return BufferedStage(StoreReader(objects, manifest, columns), rows=config.fill_batches * config.batch_rows)


def _gather(kernels: Literal["torch", "numpy"], decoding: RowDecoding, batch_rows: int, *, copy: bool) -> Gather:
    if kernels == "numpy":
        return NumpyGather(decoding)
    from actstore.stream.torch_gather import TorchGather  # noqa: PLC0415 - a stream without torch is possible

    return TorchGather(decoding, batch_rows=batch_rows, copy=copy)


def _match_sites(available: Sequence[Site], wanted: Sequence[str] | None, *, uri: str) -> list[Site]:
    if wanted is None:
        return list(available)
    if not wanted:
        raise SiteError(f"{uri}: no sites asked for; give names or globs, or None for all")
    chosen: dict[str, Site] = {}
    for pattern in wanted:
        matches = [site for site in available if fnmatchcase(site.name, pattern)]
        if not matches:
            raise SiteError(f"{uri}: no site {pattern!r}; the store has {', '.join(site.name for site in available)}")
        chosen |= {site.name: site for site in matches}
    return list(chosen.values())


def _common_width(sites: Sequence[Site]) -> int:
    widths = {site.width for site in sites}
    if len(widths) > 1:
        listed = ", ".join(f"{site.name} {site.width}" for site in sites)
        raise SiteError(f"sites of one stream must have the same number of features, not {listed}; open one for each")
    return widths.pop()


def _tasks(manifest: Manifest, split: str | None, *, uri: str, allow_incomplete: bool) -> list[tuple[int, int]]:
    frozen = manifest.frozen
    if split is not None and split not in frozen.splits:
        raise StreamError(f"{uri}: no split {split!r}; the store has {', '.join(frozen.splits)}")
    chosen = frozen.splits.values() if split is None else [frozen.splits[split]]
    tasks = [task for part in chosen for task in range(part.first_task, part.first_task + part.tasks)]
    missing = [task for task in tasks if manifest.commits[task] is None]
    if missing and not allow_incomplete:
        raise IncompleteStoreError(
            f"{uri}: {len(missing)} of {len(tasks)} tasks are not extracted yet; finish with 'actstore extract', "
            "or stream what is there with allow_incomplete (--allow-incomplete)"
        )
    present = [(task, frozen.rows_of(task)) for task in tasks if manifest.commits[task] is not None]
    if not present:
        raise StreamError(f"{uri}: no rows in {'the store' if split is None else f'split {split!r}'} (yet)")
    return present


def _window_rows(fill_rows: int, chunk_rows: int) -> int:
    """Return how many rows are read together: some chunks, or in small fills a part of one.

    Examples
    --------
    >>> [_window_rows(rows, 256) for rows in (1 << 20, 40_000, 16_384, 5_000, 1_000)]
    [4096, 512, 256, 128, 64]
    """
    chunks = min(fill_rows // (_WINDOWS_PER_FILL * chunk_rows), _MOST_CHUNKS_PER_WINDOW)
    if chunks or fill_rows >= _FEWEST_WINDOWS * chunk_rows:
        return max(chunks, 1) * chunk_rows
    part_rows = max(chunk_rows // _PARTS_OF_A_CHUNK, 1)
    return max(fill_rows // (_FEWEST_WINDOWS * part_rows), 1) * part_rows


def _check_choices(order: str, kernels: str, device: str | None) -> None:
    for name, asked, choices in (("order", order, get_args(OrderName)), ("kernels", kernels, ("torch", "numpy"))):
        if asked not in choices:
            raise StreamError(f"{name} must be one of {', '.join(choices)}, not {asked!r}")
    if device is not None and kernels == "numpy":
        raise StreamError("kernels='numpy' cannot gather on a device; leave out one of the two")
    if device is not None and order == "uniform":
        raise StreamError("order='uniform' gathers from all rows where they lie, so it has no buffer on a device")


def _sequences_by_rows(
    objects: ObjectStore, manifest: Manifest, split: str | None, *, tasks: int
) -> NDArray[np.int64] | None:
    """Count sequences by the rows they have; None if some of the tasks are missing."""
    planned = manifest.frozen.tasks if split is None else manifest.frozen.splits[split].tasks
    if tasks < planned:
        return None
    with StoredSequences(objects) as sequences:
        return sequences.sequences_by_rows(split)


def _fill_batches(buffer_bytes: int, row_bytes: int, batch_rows: int, *, rows: int) -> int:
    if batch_rows < 1:
        raise StreamError(f"batch_rows must be at least 1, not {batch_rows}")
    batches = buffer_bytes // (2 * row_bytes * batch_rows)
    if not batches:
        raise StreamError(
            f"buffer_bytes = {buffer_bytes:,} cannot hold two batches of {batch_rows:,} rows of {row_bytes:,} bytes; "
            f"give at least {2 * row_bytes * batch_rows:,}"
        )
    return min(batches, -(-rows // batch_rows))
