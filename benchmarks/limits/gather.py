"""Limits: rows that are in memory already, rows in one flat mapped file, and bytes that are only read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.contestants.contract import Contestant, Delivered, Setting, Variant, site_name
from benchmarks.contestants.fills import RingGather, Span, deal_spans, fill_rows

__all__ = ["FlatGather", "PreadOnly", "open_memmap_gather", "open_pread", "open_ram_gather"]

_BLOCKS: Final = (32, 64, 128, 256, 512)


def open_ram_gather(setting: Setting) -> Contestant:
    """Load all rows into memory as one float16 array."""
    return FlatGather(setting, np.array(setting.flat()))


def open_memmap_gather(setting: Setting) -> Contestant:
    """Map the flat file."""
    return FlatGather(setting, setting.flat())


def open_pread(setting: Setting) -> Contestant:
    """Read the shards of the float16 store into two buffers in turn, and do nothing with them."""
    return PreadOnly(setting)


class FlatGather:
    """A true permutation of all rows, gathered into reused float32 batches, in the best way of many."""

    def __init__(self, setting: Setting, flat_NX: NDArray[np.float16]) -> None:
        workload = setting.workload
        # A private mapping may be written to, so that torch does not warn; nobody does.
        if isinstance(flat_NX, np.memmap):
            assert flat_NX.filename is not None
            flat_NX = np.load(flat_NX.filename, mmap_mode="c")
        self._source_GNX = [torch.from_numpy(flat_NX)]
        self._batch_rows, self._seed = workload.batch_rows, setting.seed
        self._gather = RingGather(1, workload.columns, workload.batch_rows)
        self.rows = workload.rows
        self.variants: Sequence[Variant] = [
            {"own_threads": own_threads, "block_rows": block}
            for own_threads, block in itertools.product((True, False), _BLOCKS)
            if block < workload.batch_rows
        ]

    def use(self, variant: Variant) -> None:
        """Gather blocks of another size, in other threads."""
        self._gather.use(**variant)

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield every row once, in uniform random order."""
        order_N = np.random.default_rng([self._seed, number]).permutation(self.rows)
        for start in range(0, self.rows, self._batch_rows):
            take_B = order_N[start : start + self._batch_rows]
            yield Delivered(self._gather(self._source_GNX, torch.from_numpy(take_B)), take_B)

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return False

    def close(self) -> None:
        """Release the rows."""
        self._gather.close()
        self._source_GNX.clear()


class PreadOnly:
    """Every byte of the rows once, in the spans and the order in which a shuffle buffer would be filled."""

    variants: Sequence[Variant] = tuple({"threads": threads} for threads in (1, 2, 4))

    def __init__(self, setting: Setting) -> None:
        workload = setting.workload
        self.rows = workload.rows
        self._setting = setting
        self._fill_rows = fill_rows(workload)
        shape = (workload.sites, self._fill_rows, workload.width)
        self._buffers = [np.empty(shape, dtype=np.float16) for _ in range(2)]
        self._pool = ThreadPoolExecutor(2)
        self._open = cache(lambda path: os.open(path, os.O_RDONLY))
        self._opened: set[int] = set()

    def use(self, variant: Variant) -> None:
        """Take a number of threads."""
        self._pool.shutdown()
        self._pool = ThreadPoolExecutor(variant["threads"])

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield the bytes of a fill, without row ids: nothing is shuffled."""
        scale = self._setting.scale
        spans = deal_spans(
            self.rows,
            task_rows=scale.task_rows,
            chunk_rows=scale.chunk_rows,
            fill=self._fill_rows,
            seed=[self._setting.seed, number],
        )
        buffer_SRX, filled, turn = self._buffers[0], 0, 0
        jobs: list[tuple[int, Span, int]] = []
        for index, span in enumerate(spans):
            jobs += [(site, span, filled) for site in range(len(buffer_SRX))]
            filled += span.stop - span.start
            if filled == self._fill_rows or index + 1 == len(spans):
                list(self._pool.map(lambda job, into=buffer_SRX: self._read(into, *job), jobs))
                yield Delivered(buffer_SRX[0, :filled], None)
                turn, filled, jobs = 1 - turn, 0, []
                buffer_SRX = self._buffers[turn]

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return True

    def close(self) -> None:
        """Stop the threads and close the files."""
        self._pool.shutdown()
        for descriptor in self._opened:
            os.close(descriptor)

    def _read(self, buffer_SRX: NDArray[np.float16], site: int, span: Span, first: int) -> None:
        task, start = divmod(span.start, self._setting.scale.task_rows)
        descriptor = self._open(self._shard(site, task))
        self._opened.add(descriptor)
        part_RX = buffer_SRX[site, first : first + span.stop - span.start]
        # The rows of an uncompressed shard begin at its first byte.
        read = os.preadv(descriptor, [part_RX.data], start * part_RX.strides[0])
        assert read == part_RX.nbytes

    def _shard(self, site: int, task: int) -> Path:
        return self._setting.folder / "float16" / "sites" / site_name(site) / "values" / "c" / str(task) / "0"
