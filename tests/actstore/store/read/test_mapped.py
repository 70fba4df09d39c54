"""Rows where they lie: mapped side by side, each chunk checked once, before its first use."""

import gc
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, IncompleteStoreError, MissingObjectError, StoreError
from actstore.store.read import mapped as module
from actstore.store.read.addresses import AddressRange
from actstore.store.read.checks import ChunkChecks
from actstore.store.read.mapped import MappedRows, mapping_obstacle
from actstore.store.read.open import locate_store
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from tests.actstore.store.damage import flip
from tests.actstore.store.read.mappings import mapped_files, needs_proc, resident_bytes

StoreOf = Callable[..., Path]
SITES = ("resid_post.1", "embed")
ENCODINGS = ["float16", "bfloat16", "int8", "int4"]


def parts_of(folder: Path, sites: Sequence[str] = SITES) -> tuple[MappedRows, StoreReader, dict[int, int]]:
    """Return the mapped rows of a store, a reader of the same columns, and the rows of each task."""
    manifest, objects = locate_store(folder)
    assert isinstance(objects, LocalObjects)
    columns = StoredColumns.of(manifest, sites, uri=objects.uri)
    tasks = {task: manifest.frozen.rows_of(task) for task in range(manifest.frozen.tasks)}
    return MappedRows(objects, manifest, columns, list(tasks)), StoreReader(objects, manifest, columns), tasks


def rows_at(buffer: RowBuffer, slot_N: NDArray[np.int64]) -> list[bytes]:
    scales = [] if buffer.scale_RTG is None else [buffer.scale_RTG]
    return [array[slot_N].tobytes() for array in (*buffer.values, *scales, *buffer.origin)]


def assert_rows_are_those_read(mapped: MappedRows, reader: StoreReader, window: RowWindow, *, task_rows: int) -> None:
    alone = RowBuffer.allocate(window.stop - window.start, reader.layout)
    reader.read(window, alone)
    row_N = window.task * task_rows + np.arange(window.start, window.stop)
    assert rows_at(mapped.buffer, mapped.slots(row_N)) == rows_at(alone, np.arange(len(alone)))


@pytest.mark.parametrize(
    ("encoding", "task_rows"),
    [*((encoding, 1024) for encoding in ENCODINGS), ("int8", 512), ("int8", 4096), ("int4", 4096)],
)
def test_rows_are_those_that_the_reader_reads(store_of: StoreOf, encoding: str, task_rows: int) -> None:
    """Also where the rows of a task are no multiple of a page, and where its last task is short."""
    other = {} if task_rows == 1024 else {"store.task_rows": task_rows}
    mapped, reader, tasks = parts_of(store_of(**{"store.encoding": encoding}, **other))
    assert mapped.layout == reader.layout
    windows = [RowWindow(task, start, rows) for task, rows in tasks.items() for start in (0, rows // 3)]
    for window in windows:
        mapped.admit(window)
    for window in windows:
        assert_rows_are_those_read(mapped, reader, window, task_rows=task_rows)
    mapped.close()


def test_rows_of_many_tasks_are_gathered_at_once(store_of: StoreOf) -> None:
    mapped, reader, tasks = parts_of(store_of())
    whole = []
    for task, rows in tasks.items():
        mapped.admit(RowWindow(task, 0, rows))
        buffer = RowBuffer.allocate(rows, reader.layout)
        reader.read(RowWindow(task, 0, rows), buffer)
        whole.append(buffer.origin)
    row_N = np.concatenate([task * 1024 + np.arange(rows) for task, rows in tasks.items()])
    shuffled = np.random.default_rng(0).permutation(len(row_N))
    found = mapped.buffer.origin.at(mapped.slots(row_N[shuffled]))
    for found_N, parts in zip(found, zip(*whole, strict=True), strict=True):
        np.testing.assert_array_equal(found_N, np.concatenate(parts)[shuffled])


def test_tasks_need_not_begin_at_the_first_nor_follow_each_other(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    assert isinstance(objects, LocalObjects)
    columns = StoredColumns.of(manifest, SITES, uri=objects.uri)
    mapped, reader = MappedRows(objects, manifest, columns, [2, 5]), StoreReader(objects, manifest, columns)
    for window in (RowWindow(2, 0, 70), RowWindow(5, 900, 1024)):
        mapped.admit(window)
        assert_rows_are_those_read(mapped, reader, window, task_rows=1024)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_flipped_byte_anywhere_is_found_before_its_chunk_is_used(own_store: StoreOf, encoding: str) -> None:
    folder = own_store(**{"store.encoding": encoding})
    manifest, objects = locate_store(folder)
    assert isinstance(objects, LocalObjects)
    columns = StoredColumns.of(manifest, SITES, uri=objects.uri)
    for spec in columns.arrays:
        path, chunk_bytes = folder / spec.object_path(2), 64 * spec.row_bytes
        for place, chunk in ((0, 0), (5 * chunk_bytes - 1, 4), (16 * chunk_bytes - 1, 15)):
            flip(path, place)
            mapped = MappedRows(objects, manifest, columns, [1, 2])
            message = re.escape(f"{folder}: {spec.object_path(2)} (task 2): chunk {chunk} does not")
            with pytest.raises(CorruptObjectError, match=message):
                mapped.admit(RowWindow(2, 64 * chunk, 64 * chunk + 1))
            with pytest.raises(CorruptObjectError, match=message):
                mapped.admit(RowWindow(2, 0, 1024))
            mapped.close()
            flip(path, place)


def test_a_damaged_chunk_does_not_spoil_the_others_and_is_admitted_when_it_is_whole_again(own_store: StoreOf) -> None:
    folder = own_store()
    flip(folder / "sites/embed/values/c/2/0", 64 * 16 * 3)
    mapped, reader, _ = parts_of(folder)
    for window in (RowWindow(2, 0, 192), RowWindow(2, 256, 1024)):
        mapped.admit(window)
        assert_rows_are_those_read(mapped, reader, window, task_rows=1024)
    with pytest.raises(CorruptObjectError, match=r"\(task 2\): chunk 3"):
        mapped.admit(RowWindow(2, 100, 300))
    flip(folder / "sites/embed/values/c/2/0", 64 * 16 * 3)
    mapped.admit(RowWindow(2, 100, 300))
    assert_rows_are_those_read(mapped, reader, RowWindow(2, 100, 300), task_rows=1024)


def test_every_chunk_is_checked_once(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int, int]] = []
    compare = ChunkChecks.compare

    def counted(self: ChunkChecks, array: int, task: int, chunk: int, stored: bytes) -> None:
        compared.append((array, task, chunk))
        compare(self, array, task, chunk, stored)

    monkeypatch.setattr(ChunkChecks, "compare", counted)
    mapped, *_ = parts_of(store_of())
    arrays = 6
    mapped.admit(RowWindow(1, 100, 130))
    assert sorted(compared) == [(array, 1, chunk) for array in range(arrays) for chunk in (1, 2)]
    for window in (RowWindow(1, 64, 192), RowWindow(1, 0, 192), RowWindow(1, 0, 192)):
        mapped.admit(window)
        mapped.release(window)
    assert sorted(compared) == [(array, 1, chunk) for array in range(arrays) for chunk in (0, 1, 2)]


@pytest.mark.parametrize("change", [-1, -5000, 1, 70_000], ids=lambda change: f"{change:+} bytes")
def test_an_object_of_another_length_is_refused_before_any_of_it_is_touched(own_store: StoreOf, change: int) -> None:
    """A shortened file would kill the process: pages that it does not have cannot be read."""
    folder = own_store()
    path = folder / "sites/embed/values/c/1/0"
    data = path.read_bytes()
    path.write_bytes(data[:change] if change < 0 else data + b"\0" * change)
    mapped, *_ = parts_of(folder)
    message = rf"sites/embed/values/c/1/0 \(task 1\) has {len(data) + change:,} bytes, its commit says {len(data):,}"
    with pytest.raises(CorruptObjectError, match=message):
        mapped.admit(RowWindow(1, 0, 64))
    assert str(path) not in mapped_files(folder)


def test_an_empty_object_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "rows/sequence/c/1").write_bytes(b"")
    mapped, *_ = parts_of(folder)
    with pytest.raises(CorruptObjectError, match=r"rows/sequence/c/1 \(task 1\) has 0 bytes"):
        mapped.admit(RowWindow(1, 0, 64))


def test_lost_objects_and_folders_in_their_place_are_named(own_store: StoreOf) -> None:
    folder = own_store()
    for task, replace in ((1, None), (2, Path.mkdir)):
        path = folder / f"scales/row/c/{task}/0"
        path.unlink()
        if replace is not None:
            replace(path)
        mapped, *_ = parts_of(folder)
        kind = MissingObjectError if replace is None else CorruptObjectError
        with pytest.raises(kind, match=rf"scales/row/c/{task}/0 \(task {task}\) (is missing|is not a file)"):
            mapped.admit(RowWindow(task, 0, 64))


def test_the_object_of_another_task_is_found(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "sites/embed/values/c/1/0").write_bytes((folder / "sites/embed/values/c/2/0").read_bytes())
    mapped, *_ = parts_of(folder)
    with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/1/0 \(task 1\): chunk 0"):
        mapped.admit(RowWindow(1, 0, 64))


def test_a_task_without_commit_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits/1.json").unlink()
    (folder / "manifest.json").unlink()
    mapped, *_ = parts_of(folder)
    mapped.admit(RowWindow(0, 0, 64))
    with pytest.raises(IncompleteStoreError, match="task 1 is not extracted yet"):
        mapped.admit(RowWindow(1, 0, 64))


@pytest.mark.parametrize(("start", "stop"), [(0, 1025), (1024, 1025), (-1, 1), (5, 5)])
def test_rows_that_a_task_does_not_have_are_refused_before_any_is_touched(
    store_of: StoreOf, start: int, stop: int
) -> None:
    mapped, *_ = parts_of(store_of())
    with pytest.raises(IndexError, match="of task 0, which has 1024"):
        mapped.admit(RowWindow(0, start, stop))


def test_a_mapping_that_the_system_refuses_is_a_store_error(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped, *_ = parts_of(store_of())

    def refuse(self: object, descriptor: int, start: int, stop: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(AddressRange, "map", refuse)
    with pytest.raises(StoreError, match=r"rows/sequence/c/0 \(task 0\) cannot be mapped: Cannot allocate memory"):
        mapped.admit(RowWindow(0, 0, 64))


@needs_proc
def test_released_windows_are_not_memory_of_this_process_but_their_rows_stay_readable(own_store: StoreOf) -> None:
    folder = own_store(**{"store.task_rows": 4096, "store.encoding": "float16"})
    mapped, reader, tasks = parts_of(folder)
    windows = [RowWindow(task, 0, rows) for task, rows in tasks.items()]
    for window in windows:
        mapped.admit(window)
    held = resident_bytes(folder)
    assert held >= sum(tasks.values()) * reader.layout.row_bytes
    mapped.release(windows[0])
    after_one = resident_bytes(folder)
    assert after_one <= held - (windows[0].stop - 100) * reader.layout.row_bytes
    for window in windows:
        mapped.release(window)
    assert resident_bytes(folder) == 0
    for window in windows:
        assert_rows_are_those_read(mapped, reader, window, task_rows=4096)
    assert resident_bytes(folder) > 0
    # Another time, it is not the checksums that bring the pages back.
    mapped.release(windows[0])
    mapped.admit(windows[0])
    assert resident_bytes(folder) >= (windows[0].stop - 100) * reader.layout.row_bytes


@needs_proc
def test_closing_unmaps_everything_once_no_array_is_left(own_store: StoreOf) -> None:
    folder = own_store()
    mapped, _, tasks = parts_of(folder)
    for task in tasks:
        mapped.admit(RowWindow(task, 0, 1))
    assert len(mapped_files(folder)) == 6 * len(tasks)
    last = mapped.buffer.values[1]
    mapped.close()
    gc.collect()
    kept = mapped_files(folder)
    assert kept == {str(folder / f"sites/embed/values/c/{task}/0") for task in tasks}
    del last
    gc.collect()
    assert mapped_files(folder) == set()
    with pytest.raises(ValueError, match="closed"):
        mapped.buffer  # noqa: B018 - the property raises


def test_many_threads_admit_and_release_at_once(store_of: StoreOf) -> None:
    """Every task at the same time by several threads, each right whatever the others do."""
    mapped, reader, tasks = parts_of(store_of())
    windows = [
        RowWindow(task, start, min(start + 200, rows)) for task, rows in tasks.items() for start in range(0, rows, 150)
    ]

    def use(window: RowWindow) -> None:
        mapped.admit(window)
        assert_rows_are_those_read(mapped, reader, window, task_rows=1024)
        mapped.release(window)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, windows * 5))


def test_only_local_uncompressed_stores_are_mapped(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, objects = locate_store(store_of())
    columns = StoredColumns.of(manifest, SITES, uri=objects.uri)
    assert mapping_obstacle(objects, manifest, columns, 2730) is None
    remote = open_objects("memory://somewhere/store")
    assert mapping_obstacle(remote, manifest, columns, 7) == "it is not on a local filesystem"
    many = mapping_obstacle(objects, manifest, columns, 2731)
    assert many == "2,731 tasks with 6 arrays are more than 32,768 mappings"
    zstd, zstd_objects = locate_store(store_of(**{"store.compressor": "zstd"}))
    assert mapping_obstacle(zstd_objects, zstd, columns, 7) == "it is compressed (zstd)"
    monkeypatch.setattr(module, "can_map_at", lambda: False)
    assert mapping_obstacle(objects, manifest, columns, 7) == (
        "this operating system does not map files at chosen addresses"
    )
