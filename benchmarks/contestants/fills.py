"""What we give the peers that only read: a shuffle buffer filled one fill ahead, and the fastest gather that we know.

Whatever a peer reads with, its rows then take the same way: two buffers in turn, a permutation of each, and a blocked
gather into a ring of float32 batches. So the contest is about reading, and a peer does not lose by a naive gather.
What one gets without that knowledge is measured too, for two of them: `plain` gathers into new memory each time.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore.stream.tensors.workers import BlockWorkers
from benchmarks.contestants.contract import Delivered, Setting, Variant, Workload

__all__ = ["FillLoader", "Filler", "RingGather", "Span", "deal_spans", "fill_rows", "plain_gather"]

_RING: Final = 3
_BLOCK_BYTES: Final = 1 << 19
"""Of float16: 256 rows of 1,024 features."""


class Span(NamedTuple):
    """Contiguous stored rows."""

    start: int
    stop: int


def fill_rows(workload: Workload) -> int:
    """Return the rows of one of the two buffers: whole batches, at least one."""
    batches = workload.buffer_bytes // (2 * workload.columns * 2 * workload.batch_rows)
    return max(batches, 1) * workload.batch_rows


def deal_spans(rows: int, *, task_rows: int, chunk_rows: int, fill: int, seed: Sequence[int]) -> list[Span]:
    """Return spans that cover all rows once, in an order in which the spans of a fill come from all tasks.

    Rows are shuffled within a task but not between tasks, so a fill has to draw on all of them. A span is as many
    whole chunks as let a fill hold one of each task, and a power of two of them, so that fills are whole spans; a
    span that is cut short by the end of the rows comes last.
    """
    tasks = -(-rows // task_rows)
    span_rows = chunk_rows
    while span_rows * 2 * tasks <= fill and fill % (span_rows * 2) == 0 and task_rows % (span_rows * 2) == 0:
        span_rows *= 2
    start_W = np.arange(0, rows, span_rows)
    task_W = start_W // task_rows
    rng = np.random.default_rng(list(seed))
    place_W = np.empty(len(start_W))
    for task in range(tasks):
        here = np.flatnonzero(task_W == task)
        place_W[here] = (rng.permutation(len(here)) + rng.random()) / len(here)
    place_W[start_W + span_rows > rows] = np.inf
    return [Span(int(start), min(int(start) + span_rows, rows)) for start in start_W[np.argsort(place_W)]]


class RingGather:
    """Gathers rows in blocks that stay in cache, and widens them into a ring of three batches.

    The blocks of a batch are shared either by threads of ours, each of which does whole operations alone, or by
    torch's, which share every operation: the first is faster where cores are busy, the second may be elsewhere.
    """

    def __init__(self, groups: int, columns: int, batch_rows: int) -> None:
        self._ring = [torch.empty(batch_rows, groups, columns) for _ in range(_RING)]
        self._turn = 0
        self._workers = {True: BlockWorkers(), False: BlockWorkers(1)}
        self._own_threads = True
        self._blocks: list[Tensor] = []
        self.use(own_threads=True, block_rows=max(1, _BLOCK_BYTES // (2 * columns)))

    def use(self, *, own_threads: bool, block_rows: int | None = None) -> None:
        """Gather so many rows at a time, in these threads."""
        block_rows = block_rows or len(self._blocks[0])
        self._own_threads = own_threads
        columns = self._ring[0].shape[2]
        count = self._workers[own_threads].count
        self._blocks = [torch.empty(block_rows, columns, dtype=torch.float16) for _ in range(count)]

    def __call__(self, source_GNX: Sequence[Tensor], take_B: Tensor) -> Tensor:
        """Return rows `take_B` of each group as float32 [B, G, X]; valid for two more calls."""
        batch_BGX = self._ring[self._turn][: len(take_B)]
        self._turn = (self._turn + 1) % _RING
        rows = len(self._blocks[0])
        starts = range(0, len(take_B), rows)

        def gather(block: int, thread: int) -> None:
            group, part = divmod(block, len(starts))
            here = slice(starts[part], starts[part] + rows)
            take_b = take_B[here]
            block_bX = self._blocks[thread][: len(take_b)]
            torch.index_select(source_GNX[group], 0, take_b, out=block_bX)
            batch_BGX[here, group].copy_(block_bX)

        self._workers[self._own_threads].run(len(starts) * len(source_GNX), gather)
        return batch_BGX

    def close(self) -> None:
        """End the threads."""
        self._workers[True].close()


def plain_gather(source_GNX: Sequence[Tensor], take_B: Tensor) -> Tensor:
    """Return rows `take_B` of each group as float32 [B, G, X], as one writes it at first."""
    return torch.stack([source_NX[take_B] for source_NX in source_GNX], dim=1).float()


class Filler(Protocol):
    """Reads rows of one epoch, in an order that is good enough once a fill has been permuted."""

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        ...

    @property
    def groups(self) -> int:
        """Arrays in which the rows of a buffer lie: one for each site, or one for all."""
        ...

    @property
    def variants(self) -> Sequence[Variant]:
        """Ways of reading."""
        ...

    def use(self, variant: Variant) -> None:
        """Read in this way from the next epoch on."""
        ...

    def begin(self, epoch: int) -> None:
        """Go to the start of an epoch."""
        ...

    def fill(self, values_GRX: NDArray[np.float16], row_R: NDArray[np.int64]) -> int:
        """Fill a buffer as far as there are rows, and return how many; called in a thread."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class FillLoader:
    """A contestant out of a filler; `plain` gathers into new memory."""

    def __init__(self, setting: Setting, filler: Filler, *, plain: bool = False) -> None:
        workload = setting.workload
        self._filler = filler
        self._seed = setting.seed
        self._batch_rows = workload.batch_rows
        columns = workload.columns // filler.groups
        shape = (filler.groups, fill_rows(workload), columns)
        self._values = [np.empty(shape, dtype=np.float16) for _ in range(2)]
        self._row = [np.empty(shape[1], dtype=np.int64) for _ in range(2)]
        self._ring = None if plain else RingGather(filler.groups, columns, workload.batch_rows)
        self._gather = self._ring or plain_gather
        self._pool = ThreadPoolExecutor(1)

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return self._filler.rows

    @property
    def variants(self) -> Sequence[Variant]:
        """Those of the filler, with each kind of threads to gather in."""
        gathers: Sequence[Variant] = ({},) if self._ring is None else ({"own_threads": True}, {"own_threads": False})
        return [{**gather, **variant} for gather, variant in itertools.product(gathers, self._filler.variants)]

    def use(self, variant: Variant) -> None:
        """Read and gather in this way from the next epoch on."""
        self._filler.use(variant)
        if self._ring is not None:
            self._ring.use(own_threads=variant["own_threads"])

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield every row once."""
        rng = np.random.default_rng([self._seed, number])
        self._filler.begin(number)
        turn = 0
        pending = self._pool.submit(self._filler.fill, self._values[0], self._row[0])
        try:
            while rows := pending.result():
                source_GRX, row_R = torch.from_numpy(self._values[turn]).unbind(0), self._row[turn]
                turn = 1 - turn
                pending = self._pool.submit(self._filler.fill, self._values[turn], self._row[turn])
                order_R = rng.permutation(rows)
                for start in range(0, rows, self._batch_rows):
                    take_B = order_R[start : start + self._batch_rows]
                    yield Delivered(self._gather(source_GRX, torch.from_numpy(take_B)), row_R[take_B])
        finally:
            pending.exception()

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return True

    def close(self) -> None:
        """Release everything."""
        self._pool.shutdown()
        self._filler.close()
        if self._ring is not None:
            self._ring.close()
