"""However rows are held while they are mixed, a stream gives the same batches, finds damage, and can be closed."""

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.contracts.windows import RowBuffer, RowLayout
from actstore.errors import CorruptObjectError, MissingObjectError, StreamError
from actstore.stream.batch import Batch
from actstore.stream.open import open_stream
from actstore.stream.order import Fill
from actstore.stream.prefetch import FillFetcher
from actstore.stream.stream import Stream
from tests.actstore.store.damage import flip
from tests.actstore.store.read.mappings import mapped_files, needs_proc
from tests.actstore.stream.batches import SMALL, assert_same, end_of_threads, rows_of

StoreOf = Callable[..., Path]
RemoteOf = Callable[[Path], str]
PATHS = ["mapped", "buffered", "device", "uniform"]
PATIENCE_S = 60


def open_path(path: str, folder: Path, remote_of: RemoteOf, **options: Any) -> Stream:
    """Open a store so that its rows are held in one of the ways there are."""
    wanted: dict[str, Any] = {"batch_rows": 256, "buffer_bytes": SMALL} | options
    match path:
        case "buffered":
            return open_stream(remote_of(folder), **wanted)
        case "device":
            return open_stream(folder, device="cpu", **wanted)
        case "uniform":
            return open_stream(folder, order="uniform", **wanted)
    return open_stream(folder, **wanted)


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8", "int4"])
def test_batches_are_the_same_to_the_bit_however_rows_are_held(
    store_of: StoreOf, remote_of: RemoteOf, encoding: str
) -> None:
    """For two epochs: mapped, read from elsewhere, and on a device."""
    folder = store_of(**{"store.encoding": encoding})
    epochs = {}
    for path in ("mapped", "buffered", "device"):
        with open_path(path, folder, remote_of, seed=7) as stream:
            epochs[path] = [batch for _ in range(2) for batch in stream]
            assert stream.report().path == path
            assert stream.report().rows == 2 * stream.rows
    assert_same(epochs["mapped"], epochs["buffered"])
    assert_same(epochs["mapped"], epochs["device"])


@pytest.mark.parametrize("compressor", ["zstd", "blosc"])
def test_compressed_stores_give_the_same_batches(store_of: StoreOf, compressor: str) -> None:
    with (
        open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL) as plain,
        open_stream(store_of(**{"store.compressor": compressor}), batch_rows=256, buffer_bytes=SMALL) as compressed,
    ):
        assert_same(plain, compressed)
        assert (plain.report().path, compressed.report().path) == ("mapped", "buffered")


def test_a_position_is_good_however_rows_are_held(store_of: StoreOf, remote_of: RemoteOf) -> None:
    """A run that began on a copy of the store elsewhere goes on here."""
    with open_path("buffered", store_of(), remote_of) as stream:
        batches = iter(stream)
        for _ in range(5):
            next(batches)
        cursor = stream.cursor
        rest = list(batches)
    with open_path("mapped", store_of(), remote_of) as stream:
        stream.seek(cursor)
        assert_same(rest, stream)


@pytest.mark.parametrize("path", PATHS)
def test_a_flipped_byte_in_any_object_stops_the_stream(own_store: StoreOf, remote_of: RemoteOf, path: str) -> None:
    """With the name of object and task, and after whole batches only."""
    folder = own_store()
    sites = ("embed", "resid_post.0", "resid_post.1", "final_norm")
    for name in ("rows/sequence/c/3", "scales/row/c/3/0", *(f"sites/{site}/values/c/3/0" for site in sites)):
        place = 500 if name.startswith("rows") else 100
        flip(folder / name, place)
        delivered: list[Batch] = []
        with (
            open_path(path, folder, remote_of) as stream,
            pytest.raises(CorruptObjectError, match=rf"{name} \(task 3\): chunk 0 does not have the checksum"),
        ):
            delivered.extend(stream)
        assert {len(batch.row_B) for batch in delivered} <= {256}
        assert not set(rows_of(delivered)) & set(range(3 * 1024, 3 * 1024 + 64))
        if path == "uniform":
            assert not delivered, "rows come from everywhere, so everything is checked first"
        flip(folder / name, place)
    with open_path(path, folder, remote_of) as stream:
        assert len(list(stream)) == stream.batches_per_epoch


@pytest.mark.parametrize("path", PATHS)
def test_a_lost_or_shortened_object_stops_the_stream(own_store: StoreOf, remote_of: RemoteOf, path: str) -> None:
    """And not the process, of which a mapped file without its pages would be the end."""
    folder = own_store()
    values = folder / "sites/embed/values/c/3/0"
    data = values.read_bytes()
    for kept in (len(data) // 2, 0):
        values.write_bytes(data[:kept])
        with (
            open_path(path, folder, remote_of) as stream,
            pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/3/0 \(task 3\)"),
        ):
            list(stream)
    values.unlink()
    with (
        open_path(path, folder, remote_of) as stream,
        pytest.raises(MissingObjectError, match=r"sites/embed/values/c/3/0"),
    ):
        list(stream)


@pytest.mark.parametrize("path", ["mapped", "device", "uniform"])
def test_the_position_stays_before_the_damage_and_a_mended_store_goes_on_there(
    own_store: StoreOf, remote_of: RemoteOf, path: str
) -> None:
    folder = own_store()
    with open_path(path, folder, remote_of) as whole:
        expected = list(whole)
    flip(folder / "sites/embed/values/c/3/0", 700)
    with open_path(path, folder, remote_of) as stream:
        delivered: list[Batch] = []
        with pytest.raises(CorruptObjectError, match="task 3"):
            delivered.extend(stream)
        assert (stream.cursor.epoch, stream.cursor.batch) == (0, len(delivered))
        flip(folder / "sites/embed/values/c/3/0", 700)
        assert_same(expected, [*delivered, *stream.resume()])


@pytest.mark.parametrize("path", PATHS)
def test_a_close_from_another_thread_ends_the_iteration(store_of: StoreOf, remote_of: RemoteOf, path: str) -> None:
    """At whatever moment, loudly, and never while rows are being gathered from what is unmapped."""
    folder = store_of()
    for delivered_before in (0, 1, 2, 3, 20, 30):
        stream = open_path(path, folder, remote_of, batch_rows=64)
        reached = threading.Event()
        ended: list[StreamError] = []

        def consume(
            stream: Stream = stream,
            most: int = delivered_before,
            reached: threading.Event = reached,
            ended: list[StreamError] = ended,
        ) -> None:
            delivered = 0
            try:
                while True:
                    if delivered >= most:
                        reached.set()
                    for batch in stream:
                        assert len(batch.row_B) > 0
                        delivered += 1
                        if delivered >= most:
                            reached.set()
            except StreamError as error:
                ended.append(error)

        consumer = threading.Thread(target=consume)
        consumer.start()
        assert reached.wait(PATIENCE_S)
        stream.close()
        consumer.join(PATIENCE_S)
        assert not consumer.is_alive()
        assert "closed" in str(ended[0]) or "ended by" in str(ended[0])
        end_of_threads()


@needs_proc
@pytest.mark.parametrize("order", ["windows", "uniform"])
def test_a_closed_stream_leaves_nothing_mapped(own_store: StoreOf, order: Any) -> None:
    folder = own_store()
    stream = open_stream(folder, batch_rows=256, buffer_bytes=SMALL, order=order)
    batches = list(stream)
    assert mapped_files(folder)
    stream.close()
    gc.collect()
    assert mapped_files(folder) == set()
    assert sum(len(batch.row_B) for batch in batches) == stream.rows


def test_no_more_than_one_fill_is_begun_ahead(
    store_of: StoreOf, remote_of: RemoteOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the consumer is: the third fill is begun when the second is taken."""
    started = 0
    start = FillFetcher.start

    def counted(self: FillFetcher, plan: Callable[[], Fill]) -> None:
        nonlocal started
        started += 1
        start(self, plan)

    monkeypatch.setattr(FillFetcher, "start", counted)
    with open_path("buffered", store_of(), remote_of) as stream:
        fills = -(-stream.batches_per_epoch // stream.batches_per_fill)
        for number, _batch in enumerate(stream):
            assert started == min(number // stream.batches_per_fill + 2, fills)


@pytest.mark.parametrize("buffer_bytes", [SMALL, 3 * SMALL, 1 << 40])
def test_buffers_take_no_more_memory_than_asked_for_nor_than_the_store_needs(
    store_of: StoreOf, remote_of: RemoteOf, monkeypatch: pytest.MonkeyPatch, buffer_bytes: int
) -> None:
    allocated: list[int] = []
    allocate = RowBuffer.allocate

    def counted(rows: int, layout: RowLayout) -> RowBuffer:
        allocated.append(rows * layout.row_bytes)
        return allocate(rows, layout)

    monkeypatch.setattr(RowBuffer, "allocate", counted)
    with open_path("buffered", store_of(), remote_of, buffer_bytes=buffer_bytes) as stream:
        for _epoch in range(2):
            rows_of(stream)
        assert len(allocated) <= 2
        assert sum(allocated) <= min(buffer_bytes, 2 * 27 * 256 * 80)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_is_told_to_open_its_own(store_of: Callable[..., Path]) -> None:
    with open_stream(store_of(), batch_rows=256) as stream:
        batches = iter(stream)
        next(batches)
        child = os.fork()
        if child == 0:
            told = 0
            for iteration in (batches, iter(stream)):
                try:
                    next(iteration)
                except StreamError as error:
                    told += "opened in another process" in str(error)
            stream.close()
            os._exit(0 if told == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        next(batches)
