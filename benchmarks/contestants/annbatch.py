"""annbatch, which needs Python 3.12: a pre-shuffled collection in Zarr, read through the zarrs pipeline.

Imports neither torch nor actstore, so that it may run in an interpreter of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.contestants.contract import Contestant, Delivered, Setting, Variant

__all__ = ["AnnBatch", "open_annbatch", "open_annbatch_float16", "prepare_annbatch"]

_CHUNK_ROWS: Final = 256
_PART_TASKS: Final = 4
_RING: Final = 3


def prepare_annbatch(setting: Setting, folder: Path) -> None:
    """Write the rows in uniform random order, uncompressed, in chunks of 256 rows and shards of a task."""
    anndata, annbatch, zarr = import_module("anndata"), import_module("annbatch"), import_module("zarr")
    order_N = np.random.default_rng([setting.seed, *b"annbatch"]).permutation(_rows(setting))
    folder.mkdir(parents=True)
    group = zarr.open_group(folder / "rows.zarr", mode="w", zarr_format=3)
    annbatch.write_sharded(
        group,
        anndata.AnnData(X=setting.flat()[order_N]),
        n_obs_per_chunk=_CHUNK_ROWS,
        shard_size=setting.scale.task_rows,
        compressors=(),
    )
    np.save(folder / "row.npy", order_N)


def open_annbatch(setting: Setting, folder: Path) -> Contestant:
    """Open the collection; batches are widened to float32 by NumPy, into a ring."""
    return AnnBatch(setting, folder, widen=True)


def open_annbatch_float16(setting: Setting, folder: Path) -> Contestant:
    """Open the collection; batches stay float16 as annbatch hands them over, faster than with any conversion."""
    return AnnBatch(setting, folder, widen=False)


class AnnBatch:
    """`annbatch.Loader` with contiguous reads of a chunk or more and a shuffle buffer of the size that all have."""

    def __init__(self, setting: Setting, folder: Path, *, widen: bool) -> None:
        import_module("zarrs")
        zarr = import_module("zarr")
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
        workload = setting.workload
        self._setting, self._widen = setting, widen
        self._array: Any = zarr.open_group(folder / "rows.zarr", mode="r")["X"]
        self._row_N = np.load(folder / "row.npy")
        self._ring = [np.empty((workload.batch_rows, workload.columns), dtype=np.float32) for _ in range(_RING)]
        self.rows = len(self._row_N)
        self.variants: Sequence[Variant] = [{"chunk_rows": _CHUNK_ROWS * chunks} for chunks in (1, 4)]
        self._chunk_rows = _CHUNK_ROWS

    def use(self, variant: Variant) -> None:
        """Read so many contiguous rows at a time."""
        self._chunk_rows = variant["chunk_rows"]

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield every row once."""
        workload = self._setting.workload
        buffer_rows = workload.buffer_bytes // (workload.columns * 2)
        # A fill has to be whole batches.
        buffer_rows = max(buffer_rows // workload.batch_rows, 1) * workload.batch_rows
        chunk_rows = min(self._chunk_rows, workload.batch_rows)
        loader = import_module("annbatch").Loader(
            batch_size=workload.batch_rows,
            chunk_size=chunk_rows,
            preload_nchunks=buffer_rows // chunk_rows,
            shuffle=True,
            drop_last=False,
            return_index=True,
            preload_to_gpu=False,
            rng=np.random.default_rng([self._setting.seed, number]),
        )
        loader.add_dataset(self._array)
        for turn, batch in enumerate(loader):
            values_BX = batch["X"]
            if self._widen:
                widened_BX = self._ring[turn % _RING][: len(values_BX)]
                np.copyto(widened_BX, values_BX)
                values_BX = widened_BX
            yield Delivered(values_BX, self._row_N[batch["index"]])

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return True

    def close(self) -> None:
        """Nothing to release."""


def _rows(setting: Setting) -> int:
    """Return all rows of one site; of six sites, those of four tasks."""
    workload = setting.workload
    return workload.rows if workload.sites == 1 else min(workload.rows, _PART_TASKS * setting.scale.task_rows)
