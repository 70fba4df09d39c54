import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.contestants.contract import QUICK, Setting, Variant, Workload
from benchmarks.contestants.fills import FillLoader, RingGather, deal_spans, fill_rows, plain_gather


class Counting:
    """A filler of rows 0, 1, 2, ..., whose values are their numbers plus the group."""

    groups = 2
    variants: Sequence[Variant] = ({},)

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._next = 0

    def use(self, variant: Variant) -> None: ...

    def begin(self, epoch: int) -> None:
        self._next = 0

    def fill(self, values_GRX: NDArray[np.float16], row_R: NDArray[np.int64]) -> int:
        count = min(len(row_R), self.rows - self._next)
        row_R[:count] = np.arange(self._next, self._next + count)
        values_GRX[:, :count] = row_R[:count, None] + np.arange(2)[:, None, None]
        self._next += count
        return count

    def close(self) -> None: ...


@pytest.mark.parametrize(("rows", "fill"), [(6000, 2048), (6000, 512), (130, 512), (4096, 1024)])
def test_spans_cover_all_rows_once_and_only_the_last_is_short(rows: int, fill: int) -> None:
    spans = deal_spans(rows, task_rows=1024, chunk_rows=64, fill=fill, seed=[0, 1])
    assert sorted(itertools.chain(*(range(span.start, span.stop) for span in spans))) == list(range(rows))
    lengths = {span.stop - span.start for span in spans[:-1]}
    assert len(lengths) <= 1
    assert all(fill % length == 0 for length in lengths)
    assert all(span.start // 1024 == (span.stop - 1) // 1024 for span in spans)


def test_a_fill_draws_on_all_tasks_and_epochs_differ() -> None:
    orders = [deal_spans(8192, task_rows=1024, chunk_rows=64, fill=2048, seed=[0, epoch]) for epoch in range(2)]
    for spans in orders:
        per_fill = 2048 // (spans[0].stop - spans[0].start)
        for first in range(0, len(spans), per_fill):
            assert len({span.start // 1024 for span in spans[first : first + per_fill]}) == 8
    assert orders[0] != orders[1]


@pytest.mark.parametrize("own_threads", [True, False])
@pytest.mark.parametrize("block_rows", [1, 3, 64])
def test_the_ring_gathers_every_group_and_leaves_the_two_batches_before(block_rows: int, *, own_threads: bool) -> None:
    rng = np.random.default_rng(0)
    source_GNX = torch.from_numpy(rng.standard_normal((2, 50, 8)).astype(np.float16))
    gather = RingGather(2, 8, 10)
    gather.use(own_threads=own_threads, block_rows=block_rows)
    takes = [torch.from_numpy(rng.permutation(50)[:size]) for size in (10, 10, 7)]
    batches = [gather(source_GNX.unbind(0), take_B) for take_B in takes]
    for take_B, batch_BGX in zip(takes, batches, strict=True):
        assert batch_BGX.dtype == torch.float32
        assert torch.equal(batch_BGX, source_GNX[:, take_B].transpose(0, 1).float())
        assert torch.equal(batch_BGX, plain_gather(source_GNX.unbind(0), take_B))
    gather.close()


def test_a_loader_delivers_each_row_once_with_its_values(setting: Setting) -> None:
    workload = Workload("two", sites=2, width=4, rows=1000, batch_rows=64, buffer_bytes=2 * 2 * 128 * 8)
    loader = FillLoader(setting._replace(workload=workload), Counting(1000))
    assert fill_rows(workload) == 128
    seen: list[int] = []
    for batch in loader.epoch(0):
        assert batch.row_B is not None
        assert (batch.values_BX[:, 0, 0].numpy() == batch.row_B).all()
        assert (batch.values_BX[:, 1, 3].numpy() == batch.row_B + 1).all()
        seen += batch.row_B.tolist()
    assert seen != sorted(seen)
    assert sorted(seen) == list(range(1000))
    loader.close()


def test_an_epoch_that_is_left_early_does_not_disturb_the_next(setting: Setting) -> None:
    workload = Workload("two", sites=2, width=4, rows=1000, batch_rows=64, buffer_bytes=2 * 2 * 128 * 8)
    loader = FillLoader(setting._replace(workload=workload), Counting(1000))
    epoch = loader.epoch(0)
    next(epoch)
    epoch.close()
    rows = [batch.row_B for batch in loader.epoch(1)]
    assert sorted(np.concatenate([row_B for row_B in rows if row_B is not None])) == list(range(1000))
    loader.close()


def test_the_full_buffers_are_whole_batches() -> None:
    for name in ("one_site", "six_sites"):
        workload = Workload.of(name, QUICK)
        assert fill_rows(workload) % workload.batch_rows == 0
