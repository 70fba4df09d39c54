"""Batches of decoded rows, each row exactly once in an epoch, and any position can be sought."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.access.open import open_objects
from actstore.contracts.progress import Silent
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CursorError, StreamError
from actstore.quantize.table import QUANTIZERS
from actstore.store.browse.proteins import Proteins
from actstore.store.read.decoding import RowDecoding
from actstore.store.read.open import open_manifest
from actstore.stream.batch import Batch
from actstore.stream.config import OrderName, StreamConfig
from actstore.stream.cursor import Cursor
from actstore.stream.gather import NumpyGather
from actstore.stream.open import open_stream
from actstore.stream.order import TaskRuns
from actstore.stream.stages import BufferedStage
from actstore.stream.stream import Stream, StreamSource
from actstore.testing.fake_reader import FakeReader
from tests.actstore.stream.batches import SMALL, assert_same, end_of_threads, rows_of, same, split_rows

StoreOf = Callable[..., Path]
Decoded = Callable[..., dict[str, NDArray[np.float32]]]
ENCODINGS = ["float16", "bfloat16", "int8", "int4"]
ORDERS: list[OrderName] = ["windows", "uniform"]


@pytest.fixture
def store(store_of: StoreOf) -> Path:
    return store_of()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("split", ["train", "valid", None])
@pytest.mark.parametrize("batch_rows", [1000, 128, 37])
def test_an_epoch_has_every_row_of_the_split_once(
    store: Path, split: str | None, batch_rows: int, order: OrderName
) -> None:
    """Epoch after epoch."""
    expected = split_rows(store, split)
    with open_stream(store, split=split, batch_rows=batch_rows, buffer_bytes=SMALL * 4, order=order) as stream:
        for _epoch in range(2):
            batches = list(stream)
            assert stream.rows == len(expected)
            assert len(batches) == stream.batches_per_epoch == -(-len(expected) // batch_rows)
            assert sorted(rows_of(batches)) == expected
            assert [len(batch.row_B) for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kernels", ["torch", "numpy"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rows_decode_to_what_the_store_holds(
    store_of: StoreOf, decoded_rows: Decoded, encoding: str, kernels: Literal["torch", "numpy"], order: OrderName
) -> None:
    """All sites, and some of them in another order."""
    changes = {"store.encoding": encoding}
    decoded = decoded_rows(**changes)
    exact = kernels == "numpy" or encoding in {"float16", "bfloat16"}
    for sites in (None, ["final_norm", "embed"]):
        with open_stream(
            store_of(**changes), sites=sites, batch_rows=500, split=None, kernels=kernels, order=order
        ) as stream:
            for batch in stream:
                assert batch.values_BSD.shape == (len(batch.row_B), len(stream.sites), 16)
                assert batch.values_BSD.dtype == np.float32
                for slot, site in enumerate(stream.sites):
                    expected_BD = decoded[site][batch.row_B]
                    np.testing.assert_allclose(batch.values_BSD[:, slot], expected_BD, rtol=1e-6, atol=2e-5)
                    assert not exact or batch.values_BSD[:, slot].tobytes() == expected_BD.tobytes()


def test_batches_stay_valid_as_long_as_they_are_kept(store: Path) -> None:
    """In a list, as the last of a loop, and as a slice; with a ring they would not."""
    with open_stream(store, batch_rows=256) as stream:
        kept = list(stream)
        stream.seek(replace(stream.cursor, epoch=0))
        slices = []
        for number, batch in enumerate(stream):
            assert same(batch, kept[number])
            slices.append(batch.values_BSD[:3])
        last = batch
    assert same(last, kept[-1])
    for number, part in enumerate(slices):
        assert part.tobytes() == kept[number].values_BSD[:3].tobytes()


def test_memory_is_used_again_by_the_third_batch_after_it_if_asked_for(store: Path) -> None:
    with open_stream(store, batch_rows=256, reuse=True) as stream:
        batches = iter(stream)
        first, second, third, fourth = (next(batches).values_BSD for _ in range(4))
        assert np.shares_memory(first, fourth)
        assert not any(np.shares_memory(first, other) for other in (second, third))


def test_a_batch_is_valid_until_then(store: Path) -> None:
    with open_stream(store, batch_rows=256) as copying, open_stream(store, batch_rows=256, reuse=True) as reusing:
        kept = list(copying)
        recent: list[Batch] = []
        for number, batch in enumerate(reusing):
            recent = [*recent[-2:], batch]
            assert_same(recent, kept[max(number - 2, 0) : number + 1])


@pytest.mark.parametrize("order", ORDERS)
def test_a_stream_of_numpy_kernels_does_not_import_torch(store: Path, order: OrderName) -> None:
    code = (
        "import sys; from actstore import open_stream\n"
        f"stream = open_stream({str(store)!r}, batch_rows=256, kernels='numpy', order={order!r})\n"
        "with stream: print(sum(len(batch.row_B) for batch in stream) == stream.rows, stream.report().path)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "mapped", "False"]


@pytest.mark.parametrize("order", ORDERS)
def test_rows_say_which_residue_they_are_of(store: Path, order: OrderName) -> None:
    names = ("sequence", "position", "token")
    stored = [np.asarray(zarr.open_array(str(store), path=f"rows/{name}")[:]) for name in names]
    with open_stream(store, batch_rows=500, split="valid", order=order) as stream:
        batches = list(stream)
    for batch in batches:
        for stored_N, found_B in zip(stored, batch[2:], strict=True):
            np.testing.assert_array_equal(found_B, stored_N[batch.row_B])
    id_of = pq.read_table(store / "sequences.parquet", columns=["id"])["id"].to_pylist()
    with open_stream(store, batch_rows=500, split="valid", order=order) as stream:
        for batch in stream:
            assert stream.ids(batch) == [id_of[sequence] for sequence in batch.sequence_B]
    sequences = np.unique(np.concatenate([batch.sequence_B for batch in batches]))
    assert len(sequences) == open_manifest(store).splits["valid"].sequences


@pytest.mark.parametrize("order", ORDERS)
def test_seeking_is_continuing(store: Path, order: OrderName) -> None:
    """At any batch, also in another process, and across the end of an epoch."""
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL, order=order) as stream:
        assert (stream.batches_per_fill, stream.batches_per_epoch) == ({"windows": 2, "uniform": 16}[order], 27)
        before, cursors = [], []
        for _epoch in range(2):
            cursors.append(stream.cursor)
            for batch in stream:
                before.append(batch)
                cursors.append(stream.cursor)
            assert cursors.pop().epoch == stream.cursor.epoch == _epoch + 1
    for done in (0, 1, 2, 5, 17, 26, 27, 40, 53):
        document = json.loads(json.dumps(cursors[done].to_json()))
        with open_stream(store, batch_rows=256, buffer_bytes=SMALL, order=order) as again:
            again.seek(Cursor.from_json(document))
            assert again.cursor == cursors[done]
            after = [batch for _ in range(2 - again.cursor.epoch) for batch in again]
        assert_same(before[done:], after)


def test_each_for_begins_the_next_epoch(store: Path) -> None:
    """Also after a break, an error, and a break at the last batch; the rest of an epoch is asked for."""
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        epochs = [list(stream) for _epoch in range(4)]
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        assert stream.epoch == 0
        batches = iter(stream)
        assert_same(epochs[0][:3], [next(batches) for _ in range(3)])
        assert stream.epoch == 0
        assert_same(epochs[1], stream)
        assert stream.epoch == 1
        for _batch in itertools.islice(stream, len(stream)):
            pass
        assert (stream.epoch, stream.cursor.epoch) == (2, 3)
        assert_same(epochs[3], stream)


def test_an_epoch_that_was_left_is_resumed(store: Path) -> None:
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        whole, following = list(stream), list(stream)
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        first = list(itertools.islice(stream, 3))
        more = list(itertools.islice(stream.resume(), 4))
        rest = list(stream.resume())
        assert_same(whole, [*first, *more, *rest])
        assert (stream.epoch, stream.cursor.epoch) == (0, 1)
        assert_same(following, stream.resume())


def test_an_epoch_of_which_nothing_came_is_begun_again(store: Path) -> None:
    """After an error of the first read, say: the sought position is not passed over."""
    with open_stream(store, batch_rows=256, buffer_bytes=SMALL) as stream:
        whole = list(stream)
        stream.seek(replace(stream.cursor, epoch=0, batch=5))
        assert stream.epoch == 0
        never_begun = iter(stream)
        next(stream.resume())
        del never_begun
        stream.seek(replace(stream.cursor, epoch=0, batch=5))
        assert_same(whole[5:], stream)


def test_it_says_where_it_is(store: Path) -> None:
    with open_stream(store, sites="embed", batch_rows=256, seed=None) as stream:
        assert len(stream) == stream.batches_per_epoch == 27
        next(iter(stream))
        assert repr(stream) == (
            f"<Stream {store}: 1 sites x 16, 6,657 rows in 27 batches of 256, order='windows', seed={stream.seed}, "
            "rank 0 of 1; next: batch 1 of epoch 0>"
        )
    assert repr(stream).endswith("; closed>")


def test_a_drawn_seed_can_be_used_again(store: Path) -> None:
    with open_stream(store, batch_rows=256, seed=None) as stream:
        rows = rows_of(stream)
    with open_stream(store, batch_rows=256, seed=stream.seed) as again:
        assert rows_of(again) == rows


@pytest.mark.parametrize("order", ORDERS)
def test_epochs_and_seeds_have_their_own_orders_and_the_same_rows(store: Path, order: OrderName) -> None:
    orders = set()
    for seed in (0, 1):
        with open_stream(store, batch_rows=256, seed=seed, order=order) as stream:
            for _epoch in range(2):
                orders.add(tuple(rows_of(stream)))
    assert len(orders) == 4
    assert len({tuple(sorted(each)) for each in orders}) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_seed_gives_the_same_batches_to_the_bit(store: Path, order: OrderName) -> None:
    with (
        open_stream(store, seed=3, batch_rows=256, order=order) as one,
        open_stream(store, seed=3, batch_rows=256, order=order) as other,
    ):
        assert_same(one, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_rows": 128},
        {"seed": 1},
        {"split": "valid"},
        {"sites": ["embed"]},
        {"buffer_bytes": 2 * SMALL},
        {"order": "uniform"},
        {"drop_last": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_cursor_of_another_stream_is_refused(store: Path, changes: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"batch_rows": 256, "buffer_bytes": SMALL}
    with open_stream(store, **asked) as one, open_stream(store, **asked | changes) as other:
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
    with open_stream(store, batch_rows=256) as stream:
        before = stream.cursor
        with pytest.raises(CursorError, match="at batch 27, the epoch has 27"):
            stream.seek(replace(stream.cursor, batch=stream.batches_per_epoch))
        with pytest.raises(CursorError, match="cannot continue at row 6657"):
            stream.seek(replace(stream.cursor, start=stream.rows))
        assert stream.cursor == before


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
        stream.seek(replace(stream.cursor, batch=1))
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
    end_of_threads()
    stream.close()


@pytest.mark.parametrize("order", ORDERS)
def test_the_report_counts_what_was_delivered(store: Path, order: OrderName) -> None:
    with open_stream(store, batch_rows=256, sites=["embed", "final_norm"], order=order) as stream:
        empty = stream.report()
        assert (empty.rows, empty.bytes, empty.rows_per_s, empty.wait_share) == (0, 0, 0, 0)
        assert empty.mixing is None
        batches = list(stream)
        report = stream.report()
    assert report.path == "mapped"
    assert report.rows == sum(len(batch.row_B) for batch in batches) == stream.rows
    # Two sites of sixteen int8 values, the scales of all four sites, and the number of the sequence.
    assert report.bytes == report.rows * (2 * 16 + 4 * 2 + 14)
    assert 0 < report.wait_s <= report.batch_s < report.seconds
    assert report.wait_share == report.wait_s / report.seconds
    assert report.batch_share == report.batch_s / report.seconds
    assert report.rows_per_s == report.rows / report.seconds
    assert report.mixing is not None
    looked_at = batches[:-1][::8]
    assert report.mixing.batches == len(looked_at)
    assert report.mixing.distinct_sequences == np.mean([len(np.unique(batch.sequence_B)) for batch in looked_at])
    assert report.mixing.distinct_sequences_uniform > 20


@settings(max_examples=60)
@given(
    tasks=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    window_rows=st.integers(1, 40),
    batch_rows=st.integers(1, 30),
    fill_batches=st.integers(1, 5),
    start=st.integers(0, 1000),
)
def test_any_shape_streams_every_row_once_and_seeks(
    store_of: StoreOf, tasks: list[int], window_rows: int, batch_rows: int, fill_batches: int, start: int
) -> None:
    reader = FakeReader(dict(enumerate(tasks)), task_rows=64, sites=["a", "b"], width=3, scaled=False)
    source = StreamSource(
        uri="here",
        manifest=open_manifest(store_of()),
        sites=("a", "b"),
        width=3,
        row_bytes=reader.layout.row_bytes,
        runs=TaskRuns.of(list(enumerate(tasks)), task_rows=64),
        stage=BufferedStage(reader, rows=batch_rows * fill_batches),
        gather=NumpyGather(RowDecoding(QUANTIZERS["float16"], 3, (0, 1), (None, None))),
        sequences_by_rows=lambda: np.bincount([sum(tasks)]),
        proteins=Proteins(open_objects("memory://nowhere"), open_manifest(store_of()).frozen, progress=Silent()),
    )
    with Stream(source, StreamConfig(batch_rows, fill_batches, window_rows, threads=2)) as stream:
        whole = list(stream)
        assert sorted(rows_of(whole)) == [task * 64 + row for task, rows in enumerate(tasks) for row in range(rows)]
        done = start % len(whole)
        stream.seek(replace(stream.cursor, epoch=0, batch=done))
        rest = list(stream)
        assert_same(whole[done:], rest)
        for batch in rest:
            alone = RowBuffer.allocate(1, reader.layout)
            row = int(batch.row_B[0])
            reader.read(RowWindow(row // 64, row % 64, row % 64 + 1), alone)
            assert batch.values_BSD[0].tolist() == [values[0].astype(np.float32).tolist() for values in alone.values]
    assert reader.closed
