"""Open a stream on a store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import numpy as np

from actstore.contracts.models import Site
from actstore.contracts.planes import Calibration, Quantizer
from actstore.errors import IncompleteStoreError, SiteError, StreamError
from actstore.quantize.table import QUANTIZERS
from actstore.store.manifest import Manifest
from actstore.store.objects import open_objects
from actstore.store.open import open_store
from actstore.store.reader import StoreReader
from actstore.store.sequences import StoredSequences
from actstore.stream.gather import Gather, NumpyGather
from actstore.stream.order import cut_task_windows
from actstore.stream.stream import Stream, StreamSource

__all__ = ["open_stream"]

_THREADS: Final = 4
_WINDOWS_PER_FILL: Final = 64
"""A fill of fewer, larger windows would draw on fewer shards than it could."""
_MOST_CHUNKS_PER_WINDOW: Final = 16


def open_stream(
    source: str | os.PathLike[str] | Manifest,
    *,
    sites: Sequence[str] | None = None,
    batch_rows: int = 4096,
    seed: int = 0,
    split: str | None = "train",
    buffer_bytes: int = 256 << 20,
    allow_incomplete: bool = False,
    copy: bool = False,
    kernels: Literal["torch", "numpy"] = "torch",
    storage_options: Mapping[str, Any] | None = None,
) -> Stream:
    """Open a stream of shuffled batches.

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
        Memory for encoded rows: two fills, one being consumed while the next is fetched.
    allow_incomplete
        Stream what is there of a store whose extraction has not finished.
    copy
        Give every batch memory of its own; otherwise a batch is valid until the third one after it.
    kernels
        What gathers and decodes rows. `numpy` does not import torch, and is slower (five times for float16); int8
        values may differ in the last bit between the two.
    storage_options
        Passed to fsspec.

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
        If there is no such split, it is empty, the seed is negative, or the buffer cannot hold a batch.
    """
    if seed < 0:
        raise StreamError(f"seed must not be negative, not {seed}")
    if isinstance(source, Manifest):
        if source.uri is None:
            raise StreamError("this manifest does not say where its store is; give the path or URL of the store")
        manifest, objects = source, open_objects(source.uri, storage_options)
    else:
        manifest, objects = open_store(source, storage_options=storage_options)
    chosen = _match_sites(manifest.sites, sites, uri=objects.uri)
    width = _common_width(chosen)
    tasks = _tasks(manifest, split, uri=objects.uri, allow_incomplete=allow_incomplete)
    quantizer = QUANTIZERS[manifest.encoding]
    row_bytes = len(chosen) * (width * quantizer.stored_dtype.itemsize + 2 * quantizer.calibrated) + 16
    fill_rows = _fill_rows(buffer_bytes, row_bytes, batch_rows, rows=sum(rows for _, rows in tasks))
    with StoredSequences(objects) as sequences:
        rows_by_sequence = sequences.rows_by_sequence(split)
    names = tuple(site.name for site in chosen)
    calibration = None
    if quantizer.calibrated:
        calibrations = [manifest.frozen.site_calibration(name) for name in names]
        calibration = Calibration(
            np.stack([one.center_D for one in calibrations if one is not None]),
            np.stack([one.channel_D for one in calibrations if one is not None]),
        )
    chunk_rows = manifest.frozen.recipe.store.chunk_rows
    chunks = min(max(fill_rows // (_WINDOWS_PER_FILL * chunk_rows), 1), _MOST_CHUNKS_PER_WINDOW)
    return Stream(
        StreamSource(
            manifest=manifest,
            sites=names,
            width=width,
            reader=StoreReader(objects, manifest, names),
            windows=cut_task_windows(tasks, window_rows=chunks * chunk_rows),
            quantizer=quantizer,
            gather=_gather(kernels, quantizer, calibration, batch_rows),
            rows_by_sequence=rows_by_sequence,
        ),
        batch_rows=batch_rows,
        fill_rows=fill_rows,
        seed=seed,
        threads=_THREADS,
        copy=copy,
    )


def _gather(
    kernels: Literal["torch", "numpy"], quantizer: Quantizer, calibration: Calibration | None, batch_rows: int
) -> Gather:
    if kernels == "numpy":
        return NumpyGather(quantizer, calibration)
    from actstore.stream.torch_gather import TorchGather  # noqa: PLC0415 - a stream without torch is possible

    return TorchGather(quantizer.name, calibration, batch_rows=batch_rows)


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


def _fill_rows(buffer_bytes: int, row_bytes: int, batch_rows: int, *, rows: int) -> int:
    if batch_rows < 1:
        raise StreamError(f"batch_rows must be at least 1, not {batch_rows}")
    batches = buffer_bytes // (2 * row_bytes * batch_rows)
    if not batches:
        raise StreamError(
            f"buffer_bytes = {buffer_bytes:,} cannot hold two batches of {batch_rows:,} rows of {row_bytes:,} bytes; "
            f"give at least {2 * row_bytes * batch_rows:,}"
        )
    return min(batches, -(-rows // batch_rows)) * batch_rows
