"""Batches of decoded rows, each row exactly once in an epoch, and any position can be sought."""

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, CursorError, StreamError
from actstore.quantize.table import QUANTIZERS
from actstore.store.open import open_manifest
from actstore.stream.cursor import Cursor
from actstore.stream.gather import NumpyGather
from actstore.stream.mixing import expected_distinct
from actstore.stream.open import open_stream as open_reusing_stream
from actstore.stream.order import cut_task_windows
from actstore.stream.stream import Batch, Stream, StreamSource
from actstore.testing.fake_reader import FakeReader

StoreOf = Callable[..., Path]
Decoded = Callable[..., dict[str, NDArray[np.float32]]]
SMALL = 1 << 17
ENCODINGS = [{}, {"store.encoding": "float16"}, {"store.encoding": "bfloat16"}]


@pytest.fixture
def store(store_of: StoreOf) -> Path:
    return store_of()


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.row_B]


open_stream = partial(open_reusing_stream, copy=True)
"""The tests below keep batches and compare them later."""


def same(one: Batch, other: Batch) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(_arrays(one), _arrays(other), strict=True))


def _arrays(batch: Batch) -> list[NDArray[Any]]:
    return [batch.values_BSD, batch.row_B, batch.sequence_B]


@pytest.mark.parametrize("split", ["train", "valid", None])
@pytest.mark.parametrize("batch_rows", [1000, 128, 37])
def test_an_epoch_has_every_row_of_the_split_once(store: Path, split: str | None, batch_rows: int) -> None:
    manifest = open_manifest(store)
    splits = manifest.splits.values() if split is None else [manifest.splits[split]]
    expected = [
        task * 1024 + row
        for part in splits
        for task in range(part.first_task, part.first_task + part.tasks)
        for row in range(manifest.frozen.rows_of(task))
    ]
    with open_stream(store, split=split, batch_rows=batch_rows, buffer_bytes=SMALL * 4) as stream:
        batches = list(stream)
        assert stream.rows == len(expected)
        assert len(batches) == stream.batches_per_epoch == -(-len(expected) // batch_rows)
    assert sorted(rows_of(batches)) == expected
    assert [len(batch.row_B) for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)


@pytest.mark.parametrize("kernels", ["torch", "numpy"])
@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_rows_decode_to_what_the_store_holds(
    store_of: StoreOf, decoded_rows: Decoded, changes: dict[str, str], kernels: Literal["torch", "numpy"]
) -> None:
    decoded = decoded_rows(**changes)
    with open_stream(store_of(**changes), batch_rows=500, split=None, kernels=kernels) as stream:
        for batch in stream:
            assert batch.values_BSD.shape == (len(batch.row_B), 4, 16)
            assert batch.values_BSD.dtype == np.float32
            for slot, site in enumerate(stream.sites):
                expected_BD = decoded[site][batch.row_B]
                np.testing.assert_allclose(batch.values_BSD[:, slot], expected_BD, rtol=1e-6, atol=1e-6)
                if kernels == "numpy":
                    assert batch.values_BSD[:, slot].tobytes() == expected_BD.tobytes()


def test_memory_is_used_again_by_the_third_batch_after_it(store: Path) -> None:
    with open_reusing_stream(store, batch_rows=256) as stream:
        batches = iter(stream)
        first, second, third, fourth = (next(batches).values_BSD for _ in range(4))
        assert np.shares_memory(first, fourth)
        assert not any(np.shares_memory(first, other) for other in (second, third))


def test_a_copying_stream_gives_every_batch_memory_of_its_own(store: Path) -> None:
    with open_stream(store, batch_rows=256) as stream:
        batches = [batch.values_BSD for batch in stream]
    assert not any(np.shares_memory(batches[0], other) for other in batches[1:])


def test_a_stream_of_numpy_kernels_does_not_import_torch(store: Path) -> None:
    code = (
        "import sys; from actstore import open_stream\n"
        f"with open_stream({str(store)!r}, batch_rows=256, kernels='numpy') as stream: next(iter(stream))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sequences_belong_to_their_rows(store: Path) -> None:
    manifest = open_manifest(store)
    with open_stream(store, batch_rows=500, split="valid") as stream:
        batches = list(stream)
    sequences = {int(sequence) for batch in batches for sequence in batch.sequence_B}
    assert len(sequences) == manifest.splits["valid"].sequences


@pytest.mark.parametrize("done", [0, 1, 5, 11, 28])
def test_seeking_is_continuing(store: Path, done: int) -> None:
    """Also in another process, and across the end of an epoch."""
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        assert stream.batches_per_epoch < 29
        before = [batch for _ in range(2) for batch in stream]
        stream.seek(replace(stream.cursor, epoch=0, batch=0))
        cursors = [stream.cursor]
        for _ in range(2):
            cursors.extend(stream.cursor for _batch in stream)
    document = json.loads(json.dumps(cursors[done].to_json()))
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as again:
        again.seek(Cursor.from_json(document))
        assert again.cursor == cursors[done]
        after = [batch for _ in range(2 - again.cursor.epoch) for batch in again]
    assert len(after) == len(before) - done
    assert all(same(one, other) for one, other in zip(before[done:], after, strict=True))


def test_leaving_an_epoch_half_way_continues_there(store: Path) -> None:
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        whole = list(stream)
        stream.seek(replace(stream.cursor, epoch=0, batch=0))
        first = list(itertools.islice(stream, 3))
        rest = list(stream)
        assert stream.cursor.epoch == 1
    assert all(same(one, other) for one, other in zip(whole, [*first, *rest], strict=True))


def test_epochs_and_seeds_have_their_own_orders_and_the_same_rows(store: Path) -> None:
    orders = set()
    for seed in (0, 1):
        with open_stream(store, batch_rows=256, seed=seed) as stream:
            for _epoch in range(2):
                rows = rows_of(list(stream))
                orders.add(tuple(rows))
    assert len(orders) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_the_same_seed_gives_the_same_batches_to_the_bit(store: Path) -> None:
    with open_stream(store, seed=3, batch_rows=256) as one, open_stream(store, seed=3, batch_rows=256) as other:
        assert all(same(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "changes",
    [{"batch_rows": 128}, {"seed": 1}, {"split": "valid"}, {"sites": ["embed"]}, {"buffer_bytes": 2 * SMALL}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_cursor_of_another_stream_is_refused(store: Path, changes: dict[str, object]) -> None:
    asked: dict[str, object] = {"batch_rows": 256, "buffer_bytes": SMALL}
    with open_stream(store, **asked) as one, open_stream(store, **asked | changes) as other:  # type: ignore[arg-type]
        with pytest.raises(CursorError, match="the cursor belongs to stream"):
            other.seek(one.cursor)
        one.seek(replace(one.cursor, epoch=7, batch=2))
        assert (one.cursor.epoch, one.cursor.batch) == (7, 2)


def test_a_cursor_of_another_store_is_refused(store_of: StoreOf) -> None:
    with (
        open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL) as one,
        open_stream(store_of(**{"store.compressor": "zstd"}), batch_rows=256, buffer_bytes=SMALL) as other,
        pytest.raises(CursorError, match="the cursor belongs to stream"),
    ):
        other.seek(one.cursor)


def test_there_is_nothing_beyond_an_epoch(store: Path) -> None:
    with open_stream(store, batch_rows=256) as stream, pytest.raises(CursorError, match=r"of an epoch of \d+"):
        stream.seek(replace(stream.cursor, batch=stream.batches_per_epoch))


def test_an_iteration_ends_loudly_when_the_stream_moves_on(store: Path) -> None:
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        old = iter(stream)
        next(old)
        stream.seek(replace(stream.cursor, batch=4))
        with pytest.raises(StreamError, match="ended by a seek"):
            next(old)
        assert stream.cursor.batch == 4
        first, second = iter(stream), iter(stream)
        next(first)
        batch = next(second)
        with pytest.raises(StreamError, match="another iteration"):
            next(first)
        following = next(second)
        stream.seek(replace(stream.cursor, batch=6))
        assert not same(batch, following)
        assert same(next(iter(stream)), following)


def test_a_closed_stream_yields_nothing_and_leaves_no_threads(store: Path) -> None:
    stream = open_stream(store, batch_rows=256, buffer_bytes=SMALL)
    batches = iter(stream)
    next(batches)
    stream.close()
    with pytest.raises(StreamError, match="ended by"):
        next(batches)
    with pytest.raises(StreamError, match="closed"):
        next(iter(stream))
    assert not any(thread.name.startswith("actstore-fetch") for thread in threading.enumerate())
    stream.close()


def test_damage_reaches_the_consumer_and_the_cursor_stays_before_it(own_store: StoreOf) -> None:
    folder = own_store()
    path = folder / "sites/embed/values/c/1/0"
    whole = path.read_bytes()
    path.write_bytes(b"\x00" * len(whole))
    with open_stream(folder, batch_rows=256, buffer_bytes=SMALL) as stream:
        delivered: list[Batch] = []
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/1/0 \(task 1\)"):
            delivered.extend(stream)
        assert stream.cursor.epoch == 0
        path.write_bytes(whole)
        done = stream.cursor.batch
        rest = list(stream)
        assert len(rest) == stream.batches_per_epoch - done


def test_the_report_counts_what_was_delivered(store: Path) -> None:
    with open_stream(store, batch_rows=256, sites=["embed", "final_norm"]) as stream:
        empty = stream.report()
        assert (empty.rows, empty.bytes, empty.rows_per_s, empty.wait_share) == (0, 0, 0, 0)
        assert empty.distinct_sequences_per_batch is None
        batches = list(stream)
        report = stream.report()
    assert report.rows == sum(len(batch.row_B) for batch in batches) == stream.rows
    assert report.bytes == report.rows * (2 * (16 + 2) + 16)
    assert 0 < report.wait_s < report.seconds
    assert report.wait_share == report.wait_s / report.seconds
    assert report.rows_per_s == report.rows / report.seconds
    full = [batch for batch in batches if len(batch.row_B) == 256]
    assert report.distinct_sequences_per_batch == np.mean([len(np.unique(batch.sequence_B)) for batch in full])
    assert report.distinct_sequences_uniform is not None
    assert report.distinct_sequences_uniform > 20


SEQUENCES, ROWS_PER_SEQUENCE, TASK_ROWS, TASKS = 2000, 100, 4096, 49


class ShuffledReader(FakeReader):
    """A store of realistic shape: short runs of sequences in each task, rows shuffled inside it."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(range(TASKS), TASK_ROWS), task_rows=TASK_ROWS, sites=["embed"], width=1)
        rng = np.random.default_rng(0)
        in_order = np.repeat(np.arange(SEQUENCES + 8), ROWS_PER_SEQUENCE)[: TASKS * TASK_ROWS].reshape(TASKS, TASK_ROWS)
        self.sequence_TN = rng.permuted(in_order, axis=1)

    def read(self, window: RowWindow, into: RowBuffer) -> None:
        super().read(window, into)
        into.sequence_N[:] = self.sequence_TN[window.task, window.start : window.stop]


def test_a_buffer_of_a_twentieth_mixes_almost_like_a_uniform_shuffle(store: Path) -> None:
    """200,000 rows of 2,000 sequences, buffered 10,240 at a time; batches of 512."""
    reader = ShuffledReader()
    counts = np.bincount(reader.sequence_TN.ravel()).astype(np.int32)
    source = StreamSource(
        manifest=open_manifest(store),
        sites=("embed",),
        width=1,
        reader=reader,
        windows=cut_task_windows(list(reader.tasks.items()), window_rows=256),
        quantizer=QUANTIZERS["float16"],
        gather=NumpyGather(QUANTIZERS["float16"], None),
        rows_by_sequence=counts,
    )
    with Stream(source, batch_rows=512, fill_rows=10_240, seed=0, threads=2) as stream:
        for _batch in stream:
            pass
        report = stream.report()
    assert report.distinct_sequences_per_batch is not None
    assert report.distinct_sequences_uniform == pytest.approx(expected_distinct(counts, 512))
    assert report.distinct_sequences_per_batch >= 0.95 * expected_distinct(counts, 512)
    assert reader.closed


@given(
    tasks=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    window_rows=st.integers(1, 40),
    batch_rows=st.integers(1, 30),
    batches_per_fill=st.integers(1, 5),
    start=st.integers(0, 1000),
)
def test_any_shape_streams_every_row_once_and_seeks(
    store_of: StoreOf, tasks: list[int], window_rows: int, batch_rows: int, batches_per_fill: int, start: int
) -> None:
    reader = FakeReader(dict(enumerate(tasks)), task_rows=64, sites=["a", "b"], width=3, scaled=False)
    source = StreamSource(
        manifest=open_manifest(store_of()),
        sites=("a", "b"),
        width=3,
        reader=reader,
        windows=cut_task_windows(list(enumerate(tasks)), window_rows=window_rows),
        quantizer=QUANTIZERS["float16"],
        gather=NumpyGather(QUANTIZERS["float16"], None),
        rows_by_sequence=np.array([sum(tasks)], np.int32),
    )
    with Stream(source, batch_rows=batch_rows, fill_rows=batch_rows * batches_per_fill, seed=0, threads=2) as stream:
        whole = list(stream)
        assert sorted(rows_of(whole)) == [task * 64 + row for task, rows in enumerate(tasks) for row in range(rows)]
        done = start % len(whole)
        stream.seek(replace(stream.cursor, epoch=0, batch=done))
        rest = list(stream)
        assert all(same(one, other) for one, other in zip(whole[done:], rest, strict=True))
        for batch in rest:
            alone = RowBuffer.allocate(1, 2, 3, reader.dtype, scaled=False)
            row = int(batch.row_B[0])
            reader.read(RowWindow(row // 64, row % 64, row % 64 + 1), alone)
            assert batch.values_BSD[0].tolist() == alone.values_NSD[0].astype(np.float32).tolist()


def test_fills_are_whole_batches(store: Path) -> None:
    with open_stream(store, batch_rows=256) as stream, pytest.raises(ValueError, match="multiple of batch_rows"):
        Stream(stream._source, batch_rows=256, fill_rows=300, seed=0, threads=1)
