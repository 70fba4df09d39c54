"""Open a stream on a store."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from actstore.access.open import open_objects
from actstore.contracts.progress import Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.contracts.windows import RowWindow, WindowReader
from actstore.errors import StreamError, UsageError
from actstore.store.browse.all_proteins import proteins_of
from actstore.store.browse.store import Store
from actstore.store.read.cached import CachedObjects
from actstore.store.read.manifest import Manifest
from actstore.store.read.mapped import MappedRows, mapping_obstacle
from actstore.store.read.merged import MergedObjects, Source, has_local_files
from actstore.store.read.open import find_members, locate_rows
from actstore.store.read.place import refuse_in_store
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.store.write.sequences import StoredSequences
from actstore.stream.config import OrderName
from actstore.stream.gather import Gather, NumpyGather
from actstore.stream.plan import StreamPlan, plan_stream
from actstore.stream.request import StreamRequest
from actstore.stream.seats import Seat
from actstore.stream.stages import BufferedStage, FillStage, MappedStage
from actstore.stream.stream import Stream, StreamSource

__all__ = ["open_stream", "stream_over"]

_THREADS: Final = 4
_REMOTE_THREADS: Final = 32
"""For remote storage. benchmarks/results/s3_stream.json: over 20 ms three times the rate of 4, a fifth over 16."""


@with_keyword_hints
def open_stream(
    source: str | os.PathLike[str] | Manifest | Store,
    *,
    sites: Sequence[str] | str | None = None,
    batch_rows: int = 4096,
    seed: int | None = 0,
    split: str | None = "train",
    buffer_bytes: int = 256 << 20,
    order: OrderName = "windows",
    seat: Seat | None = None,
    drop_last: bool = False,
    device: str | None = None,
    allow_incomplete: bool = False,
    reuse: bool = False,
    kernels: Literal["torch", "numpy"] = "torch",
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
) -> Stream:
    """Open a stream of shuffled batches.

    Rows of local stores without compression are gathered from memory maps; others are read into buffers.

    Parameters
    ----------
    source
        Path or URL of a store, an exported manifest file, or a manifest with its `uri`.
    sites
        One or several names or globs; None for all. The order given is the order of axis S of a batch. All must have
        one width.
    batch_rows
        Rows of a batch.
    seed
        Seeds the order of rows; None draws one, which is then `stream.seed`.
    split
        Name of a split; None for all rows.
    buffer_bytes
        Memory for encoded rows: two fills, one being consumed while the next is fetched. A larger buffer mixes better;
        with 5 % of the store our mixing tests hardly distinguish it from uniform. No effect on `order="uniform"`.
    order
        `windows` mixes the rows of windows from many shards in a buffer, and suits any storage. `uniform` is a true
        permutation of all rows, for local stores without compression; best if the store fits into memory, since rows
        are read one by one.
    seat
        Rank of this process, and the number of processes. By default as the initialised process group of torch or the
        environment (RANK and WORLD_SIZE, which `torchrun` sets) says; ``Seat(0, 1)`` for all rows in any case. All get
        the same number of batches, and each row goes to one of them. Rows that make no full batch for every process
        are divided evenly into smaller ones at the end of the epoch.
    drop_last
        Leave out those smaller batches, and with them fewer than ``batch_rows * seat.world_size`` rows.
    device
        Keep the buffer on a device of torch: encoded rows cross the bus, are gathered and decoded there, and batches
        are tensors.
    allow_incomplete
        Stream the available rows of a store whose extraction has not finished.
    reuse
        Write the values of each batch over those of the third one before it. By default a batch stays valid as long as
        it is kept.
    kernels
        Library that gathers and decodes rows. `numpy` does not import torch, and is slower (five times for float16);
        int8 values may differ in the last bit between the two.
    storage_options
        Passed to fsspec.
    cache, cache_bytes
        A folder on a local disk that keeps bytes read from a remote store, and most bytes to keep; processes may share
        it. Kept bytes are checked each time they are used.

    Returns
    -------
    Stream
        Yields `Batch(values_BSD, row_B, sequence_B, position_B, token_B)`.

    Raises
    ------
    SiteError
        If a site matches nothing, or the sites differ in width.
    IncompleteStoreError
        If tasks of the split are missing and `allow_incomplete` is not set.
    StreamError
        If there is no such split, it is empty, the seed is negative, the buffer cannot hold a batch, the rows cannot be
        divided among so many processes, the order is not possible on this store, or options contradict each other.
    UsageError, StoreError
        If one of `cache` and `cache_bytes` is missing, `cache_bytes` is too small, or the folder cannot be used.
    """
    request = StreamRequest(
        sites=sites,
        batch_rows=operator.index(batch_rows) if hasattr(batch_rows, "__index__") else batch_rows,
        seed=seed,
        split=split,
        buffer_bytes=buffer_bytes,
        order=order,
        seat=seat,
        drop_last=drop_last,
        device=device,
        reuse=reuse,
        kernels=kernels,
    )
    manifest, objects = _with_cache(lambda: _open(source, storage_options), cache, cache_bytes)
    return stream_over(manifest, objects, request, allow_incomplete=allow_incomplete)


def stream_over(
    manifest: Manifest,
    objects: Source,
    request: StreamRequest,
    *,
    allow_incomplete: bool = False,
    reader_of: Callable[[StoredColumns], WindowReader] | None = None,
    name: str | None = None,
) -> Stream:
    """Open a stream on a store whose manifest is loaded; raises as `open_stream`.

    Parameters
    ----------
    manifest, objects
        The store.
    request
        Which rows, and how.
    allow_incomplete
        Stream the available rows.
    reader_of
        Returns a reader for windows of some columns, in place of `StoreReader`; then every task is available.
    name
        Name of the store in messages; None for its place.
    """
    threads = _THREADS if has_local_files(objects) else _REMOTE_THREADS
    plan = plan_stream(
        manifest,
        request,
        uri=name or objects.uri,
        threads=threads,
        allow_incomplete=allow_incomplete,
        computed=reader_of is not None,
    )
    reader = None if reader_of is None else reader_of(plan.columns)
    stage, gather = (_in_memory if plan.device is None else _on_device)(plan, objects, reader)
    return Stream(
        StreamSource(
            uri=plan.uri,
            manifest=manifest,
            sites=plan.sites,
            width=plan.decoding.width,
            row_bytes=plan.columns.layout.row_bytes,
            runs=plan.runs,
            stage=stage,
            gather=gather,
            sequences_by_rows=partial(_sequences_by_rows, plan, objects),
            proteins=proteins_of(objects, manifest, progress=Silent()),
        ),
        plan.config,
    )


def _on_device(plan: StreamPlan, objects: Source, reader: WindowReader | None) -> tuple[FillStage, Gather]:
    """Return a buffer on a device, and its gather function."""
    from actstore.stream.tensors.device import DeviceGather, DeviceStage  # noqa: PLC0415 - only with torch

    assert plan.device is not None  # noqa: S101 - else the buffer is in memory
    reader = reader or StoreReader(objects, plan.manifest, plan.columns)
    try:
        return (
            DeviceStage(reader, rows=plan.fill_rows, device=plan.device),
            DeviceGather(plan.decoding, batch_rows=plan.most_batch_rows, device=plan.device, reuse=plan.reuse),
        )
    except RuntimeError as error:
        raise StreamError(f"device {plan.device!r} cannot hold the buffer: {error}") from error


def _in_memory(plan: StreamPlan, objects: Source, reader: WindowReader | None) -> tuple[FillStage, Gather]:
    """Return a buffer in memory, or mapped rows, and its gather function."""
    stage = _stored(plan, objects) if reader is None else BufferedStage(reader, rows=plan.fill_rows)
    if plan.kernels == "numpy":
        return stage, NumpyGather(plan.decoding)
    from actstore.stream.tensors.gather import TorchGather  # noqa: PLC0415 - a stream without torch is possible

    return stage, TorchGather(plan.decoding, batch_rows=plan.most_batch_rows, reuse=plan.reuse)


def _open(
    source: str | os.PathLike[str] | Manifest | Store, storage_options: Mapping[str, Any] | None
) -> tuple[Manifest, Source]:
    if isinstance(source, Store):
        return source.manifest, source.objects
    if not isinstance(source, Manifest):
        return locate_rows(source, storage_options=storage_options)
    if source.members:
        return source, find_members(source, name=source.uri or "the merge", storage_options=storage_options)
    if source.uri is None:
        raise StreamError("this manifest does not say where its store is; give the path or URL of the store")
    return source, open_objects(source.uri, storage_options)


def _with_cache(
    opened: Callable[[], tuple[Manifest, Source]],
    cache: str | os.PathLike[str] | None,
    cache_bytes: int | None,
) -> tuple[Manifest, Source]:
    if cache is None and cache_bytes is not None:
        raise UsageError("cache_bytes (--cache-bytes) needs cache (--cache): the folder of the cache")
    if cache is not None and cache_bytes is None:
        raise UsageError("cache (--cache) needs cache_bytes (--cache-bytes): the most bytes to keep there")
    if cache is not None:
        refuse_in_store(cache, "cache (--cache)")
    manifest, objects = opened()
    if cache is None:
        return manifest, objects
    if isinstance(objects, MergedObjects):
        cached = [
            CachedObjects(one, member, Path(cache), cache_bytes)
            for one, member in zip(objects.members, manifest.members, strict=True)
        ]
        return manifest, MergedObjects(objects.uri, manifest, cached)
    return manifest, CachedObjects(objects, manifest, Path(cache), cache_bytes)


def _stored(plan: StreamPlan, objects: Source) -> FillStage:
    """Map the rows if that is possible; otherwise read them into buffers."""
    manifest, columns, runs = plan.manifest, plan.columns, plan.runs
    uniform = plan.config.order == "uniform"
    obstacle = mapping_obstacle(objects, manifest, columns, len(runs.task_T))
    mapped = None
    if obstacle is None:
        try:
            mapped = MappedRows(objects, manifest, columns, runs.task_T.tolist())
        except OSError as error:
            obstacle = f"the system cannot map it into memory ({error.strerror})"
    if mapped is not None:
        everywhere = []
        if uniform:
            everywhere = [
                RowWindow(task, 0, rows) for task, rows in zip(runs.task_T.tolist(), runs.rows_T.tolist(), strict=True)
            ]
        return MappedStage(mapped, everywhere=everywhere)
    if uniform:
        raise StreamError(f"{objects.uri}: order='uniform' is not possible: {obstacle}; use order='windows'")
    return BufferedStage(StoreReader(objects, manifest, columns), rows=plan.fill_rows)


def _sequences_by_rows(plan: StreamPlan, objects: Source) -> NDArray[np.int64] | None:
    """Count sequences by the rows they have; None if some of the tasks are missing."""
    if not plan.has_all_tasks:
        return None
    counts: list[NDArray[np.int64]] = []
    for one in objects.members if isinstance(objects, MergedObjects) else (objects,):
        with StoredSequences(one) as sequences:
            counts.append(sequences.sequences_by_rows(plan.split))
    most = max(map(len, counts))
    return sum((np.pad(count, (0, most - len(count))) for count in counts), np.zeros(most, dtype=np.int64))
