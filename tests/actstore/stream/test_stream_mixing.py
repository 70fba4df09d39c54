"""Batches from a small buffer are mixed like a uniform shuffle, and a report would say if they were not."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import open_objects
from actstore.contracts.progress import Silent
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.quantize.table import QUANTIZERS
from actstore.store.browse import proteins
from actstore.store.read.decoding import RowDecoding
from actstore.store.read.manifest import Manifest
from actstore.store.read.mapped import MappedRows
from actstore.store.read.open import open_manifest
from actstore.stream.config import OrderName, StreamConfig
from actstore.stream.gather import NumpyGather
from actstore.stream.mixing import MixingReport, expected_distinct
from actstore.stream.order import EpochOrder, Fill, TaskRuns, WindowOrder
from actstore.stream.stages import BufferedStage, FillStage, MappedStage
from actstore.stream.stream import Stream, StreamSource
from actstore.testing.fake_reader import FakeReader

StoreOf = Callable[..., Path]
SEQUENCES, ROWS_PER_SEQUENCE, TASK_ROWS, TASKS = 2000, 100, 4096, 49
BATCH_ROWS, FILL_BATCHES = 512, 10
"""Two fills of 5,120 rows of 200,704: a buffer of 5 %."""


class Proteins(FakeReader):
    """A store of realistic shape: short runs of sequences in each task, rows shuffled inside it (or not)."""

    def __init__(self, *, shuffled: bool = True) -> None:
        tasks = dict.fromkeys(range(TASKS), TASK_ROWS)
        super().__init__(tasks, task_rows=TASK_ROWS, sites=["embed"], width=1, scaled=False)
        in_order = np.repeat(np.arange(SEQUENCES + 8), ROWS_PER_SEQUENCE)[: TASKS * TASK_ROWS].reshape(TASKS, TASK_ROWS)
        self.sequence_TN = np.random.default_rng(0).permuted(in_order, axis=1) if shuffled else in_order

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        into.origin.sequence_R[:] = self.sequence_TN[window.task, window.start : window.stop]

    @cached_property
    def sequences_by_rows(self) -> NDArray[np.int64]:
        return np.bincount(np.bincount(self.sequence_TN.ravel()))


class WhereTheyLie:
    """All of these rows as `MappedRows` would have them."""

    def __init__(self, reader: Proteins) -> None:
        self.buffer = RowBuffer.allocate(TASKS * TASK_ROWS, reader.layout)
        for task in range(TASKS):
            here = self.buffer.part(task * TASK_ROWS, (task + 1) * TASK_ROWS)
            reader.read(RowWindow(task, 0, TASK_ROWS), here)

    def slots(self, row_N: NDArray[np.int64]) -> NDArray[np.int64]:
        return row_N

    def close(self) -> None:
        pass


class AsStored(WindowOrder):
    """Mixes nothing but what lies side by side."""

    def fill(self, start: int, stop: int) -> Fill:
        place_R = np.random.default_rng(start).permutation(stop - start)
        first, last = start // TASK_ROWS, -(-stop // TASK_ROWS)
        windows = tuple(
            RowWindow(task, max(start - task * TASK_ROWS, 0), min(stop - task * TASK_ROWS, TASK_ROWS))
            for task in range(first, last)
        )
        return Fill(windows, start + place_R, place_R)


@pytest.fixture(scope="module")
def manifest(store_of: StoreOf) -> Manifest:
    """Of some store: nothing of it is asked for."""
    return open_manifest(store_of())


def mixing_of(
    manifest: Manifest,
    reader: Proteins,
    *,
    order: OrderName = "windows",
    seed: int = 0,
    fill_batches: int = FILL_BATCHES,
    window_rows: int = 64,
) -> MixingReport:
    stage: FillStage = BufferedStage(reader, rows=BATCH_ROWS * fill_batches)
    if order == "uniform":
        stage = MappedStage(cast("MappedRows", WhereTheyLie(reader)))
    source = StreamSource(
        uri="here",
        manifest=manifest,
        sites=("embed",),
        width=1,
        row_bytes=reader.layout.row_bytes,
        runs=TaskRuns.of(list(reader.tasks.items()), task_rows=TASK_ROWS),
        stage=stage,
        gather=NumpyGather(RowDecoding(QUANTIZERS["float16"], 1, (0,), (None,))),
        sequences_by_rows=lambda: reader.sequences_by_rows,
        proteins=proteins.Proteins(open_objects("memory://nowhere"), manifest.frozen, progress=Silent()),
    )
    config = StreamConfig(BATCH_ROWS, fill_batches, window_rows, order=order, seed=seed, threads=2)
    with Stream(source, config) as stream:
        for _batch in stream:
            pass
        report = stream.report().mixing
    assert report is not None
    assert report.distinct_sequences_uniform == pytest.approx(expected_distinct(reader.sequences_by_rows, BATCH_ROWS))
    return report


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_buffer_of_a_twentieth_mixes_almost_like_a_uniform_shuffle(manifest: Manifest, seed: int) -> None:
    report = mixing_of(manifest, Proteins(), seed=seed)
    assert report.distinct_ratio >= 0.95
    assert abs(report.serial_correlation) < 0.02


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_uniform_order_cannot_be_told_from_uniform(manifest: Manifest, seed: int) -> None:
    """Also of a store whose rows were not shuffled when they were written."""
    for shuffled in (True, False):
        report = mixing_of(manifest, Proteins(shuffled=shuffled), order="uniform", seed=seed)
        assert report.distinct_ratio == pytest.approx(1, abs=0.01)
        # About 64 of 25,000 rows that were looked at have their neighbour in the batch.
        assert report.neighbours == pytest.approx(report.neighbours_uniform, abs=5 * (0.0025 / 25_000) ** 0.5)
        assert abs(report.serial_correlation) < 0.03


def test_larger_buffers_and_smaller_windows_mix_better(manifest: Manifest) -> None:
    """Sixteen windows cannot be as good as uniform, whatever is in them; hundreds are."""
    shapes = [(4, 256), (10, 256), (10, 64), (40, 64)]
    ratios = [
        mixing_of(manifest, Proteins(), fill_batches=batches, window_rows=rows).distinct_ratio
        for batches, rows in shapes
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.8
    assert ratios[-1] > 0.98


def test_rows_that_were_not_shuffled_when_they_were_written_are_seen(manifest: Manifest) -> None:
    """Windows of neighbours, well mixed among each other: few sequences, many neighbours."""
    report = mixing_of(manifest, Proteins(shuffled=False))
    assert report.distinct_ratio < 0.5
    assert report.neighbours > 20 * report.neighbours_uniform


def test_an_order_that_does_not_spread_windows_is_seen(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_stored(stream: Stream, epoch: int) -> EpochOrder:
        runs = TaskRuns.of([(task, TASK_ROWS) for task in range(TASKS)], task_rows=TASK_ROWS)
        return AsStored(runs, window_rows=256, seed=0, epoch=epoch)

    monkeypatch.setattr(Stream, "_order", as_stored)
    report = mixing_of(manifest, Proteins())
    assert report.distinct_ratio < 0.3
    assert report.neighbours > 20 * report.neighbours_uniform
