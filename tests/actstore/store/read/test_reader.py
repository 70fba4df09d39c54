"""Windows back out of a store, every byte checked."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, IncompleteStoreError, MissingObjectError
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import scales_path
from actstore.store.format.shard import index_bytes
from actstore.store.read import reader as module
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.store.read.reader import ArrayReader, StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.store.write.commit import load_commit
from actstore.testing.conformance_windows import WINDOW_CHECKS, WindowCase

StoreOf = Callable[..., Path]
ENCODINGS = [
    {},
    {"store.encoding": "float16"},
    {"store.encoding": "int4"},
    {"store.compressor": "zstd"},
    {"store.compressor": "blosc"},
]
SITES = ("resid_post.1", "embed")


def reader_of(manifest: Manifest, objects: ObjectStore) -> StoreReader:
    return StoreReader(objects, manifest, StoredColumns.of(manifest, SITES, uri=objects.uri))


def case_of(manifest: Manifest, objects: ObjectStore) -> WindowCase:
    tasks = {task: manifest.frozen.rows_of(task) for task in (0, manifest.frozen.tasks - 1)}
    return WindowCase(reader_of(manifest, objects), tasks=tasks)


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
@pytest.mark.parametrize("check", WINDOW_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(store_of: StoreOf, check: Callable[[WindowCase], None], changes: dict[str, str]) -> None:
    check(case_of(*locate_store(store_of(**changes))))


def test_it_conforms_over_fsspec(store_of: StoreOf) -> None:
    local, remote = LocalObjects(store_of()), open_objects("memory://reader/store")
    for path in local.sizes():
        remote.put(path, local.get(path))
    for check in WINDOW_CHECKS:
        check(case_of(*locate_store("memory://reader/store")))


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_windows_hold_what_plain_zarr_reads(store_of: StoreOf, changes: dict[str, str]) -> None:
    folder = store_of(**changes)
    manifest, objects = locate_store(folder)
    root = zarr.open_group(folder, mode="r")
    paths = (
        *(f"rows/{name}" for name in ("sequence", "position", "token")),
        *(f"sites/{site}/values" for site in SITES),
    )
    arrays = {path: np.asarray(root[path]) for path in paths}
    quantizer = QUANTIZERS[manifest.encoding]
    scales = None if quantizer.scales is None else np.asarray(root[scales_path(quantizer)])
    reader = reader_of(manifest, objects)
    rng = np.random.default_rng(0)
    for task in range(manifest.frozen.tasks):
        rows = manifest.frozen.rows_of(task)
        start, stop = sorted(rng.choice(rows + 1, 2, replace=False).tolist())
        buffer = RowBuffer.allocate(stop - start, reader.layout)
        reader.read(RowWindow(task, start, stop), buffer)
        here = slice(task * 1024 + start, task * 1024 + stop)
        for slot, site in enumerate(SITES):
            assert buffer.values[slot].tobytes() == arrays[f"sites/{site}/values"][here].tobytes()
        for name, column_R in zip(("sequence", "position", "token"), buffer.origin, strict=True):
            np.testing.assert_array_equal(column_R, arrays[f"rows/{name}"][here])
        assert (buffer.scale_RTG is None) == (scales is None)
        if scales is not None and buffer.scale_RTG is not None:
            # All sites of the store, in its order: their scales lie side by side.
            assert buffer.scale_RTG.shape == (stop - start, 4, 1)
            assert buffer.scale_RTG.tobytes() == scales[here].tobytes()


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
@pytest.mark.parametrize("array", ["rows/position", "sites/embed/values"])
def test_every_alignment_gives_the_rows(store_of: StoreOf, changes: dict[str, str], array: str) -> None:
    """Windows within a chunk, over borders of chunks, at them, and the odd end of a task."""
    manifest, objects = locate_store(store_of(**changes))
    reader = ArrayReader(objects, manifest)
    rng = np.random.default_rng(0)
    for task in (0, manifest.frozen.tasks - 1):
        rows = manifest.frozen.rows_of(task)
        whole = reader.rows(array, RowWindow(task, 0, rows))
        borders = {0, 1, 63, 64, 65, 128, rows - 1, rows, *rng.integers(0, rows, 6).tolist()}
        for start, stop in itertools.combinations(sorted(borders), 2):
            assert reader.rows(array, RowWindow(task, start, stop)).tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize("changes", ENCODINGS[:1] + ENCODINGS[3:], ids=str)
@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 1025), (5, 5), (7, 3), (1024, 1025)])
def test_rows_that_a_task_does_not_have_are_refused(
    store_of: StoreOf, changes: dict[str, str], start: int, stop: int
) -> None:
    manifest, objects = locate_store(store_of(**changes))
    with pytest.raises(IndexError, match=f"rows {start} to {stop} of task 0, which has 1024"):
        ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(0, start, stop))


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_a_flipped_byte_in_any_object_of_any_array_is_found(own_store: StoreOf, changes: dict[str, str]) -> None:
    """Wherever it is in the bytes that a window needs; the error names object and task."""
    folder = own_store(**changes)
    manifest, objects = locate_store(folder)
    frozen = manifest.frozen
    arrays = frozen.row_arrays
    for spec in arrays:
        path = folder / spec.object_path(2)
        whole = path.read_bytes()
        compressed = spec.compressor != "none"
        payload = len(whole) - index_bytes(spec)
        for place in (0, payload // 2, payload - 1, *([len(whole) - 1, payload + 3] if compressed else [])):
            damaged = bytearray(whole)
            damaged[place] ^= 0x10
            path.write_bytes(damaged)
            with pytest.raises(CorruptObjectError, match=re.escape(f"{spec.object_path(2)} (task 2)")):
                ArrayReader(objects, manifest).rows(spec.path, RowWindow(2, 0, 1024))
        path.write_bytes(whole)


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.9])
def test_an_object_cut_short_is_found(own_store: StoreOf, changes: dict[str, str], kept: float) -> None:
    folder = own_store(**changes)
    manifest, objects = locate_store(folder)
    path = folder / "sites/embed/values/c/0/0"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else 1])
    # Compressed chunks cannot even be looked for: the index at the end of the object is lost.
    problem = "the shard index is damaged" if "store.compressor" in changes else r"ends [\d,]+ bytes too early"
    with pytest.raises(CorruptObjectError, match=rf"sites/embed/values/c/0/0 \(task 0\):? {problem}"):
        ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(0, 0, 1024))


def test_damage_outside_the_window_is_left_to_verify(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = locate_store(folder)
    path = folder / "rows/sequence/c/0"
    whole = path.read_bytes()
    path.write_bytes(b"\xff" * 512 + whole[512:])
    reader = ArrayReader(objects, manifest)
    assert len(reader.rows("rows/sequence", RowWindow(0, 64, 1024))) == 960
    with pytest.raises(CorruptObjectError, match="chunk 0 does not have the checksum"):
        reader.rows("rows/sequence", RowWindow(0, 63, 1024))


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_the_object_of_another_task_is_found(own_store: StoreOf, changes: dict[str, str]) -> None:
    folder = own_store(**changes)
    manifest, objects = locate_store(folder)
    last = manifest.frozen.tasks - 1
    for other in (1, last):
        data = (folder / f"sites/embed/values/c/{other}/0").read_bytes()
        (folder / "sites/embed/values/c/0/0").write_bytes(data)
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/0/0 \(task 0\)"):
            ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(0, 0, 1024))


def test_a_lost_object_is_missing(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = locate_store(folder)
    (folder / "scales/row/c/3/0").unlink()
    with pytest.raises(MissingObjectError, match="scales/row/c/3/0"):
        ArrayReader(objects, manifest).rows("scales/row", RowWindow(3, 0, 64))


def test_a_commit_written_since_the_manifest_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = locate_store(folder)
    commit = load_commit(objects, 1)
    (folder / "commits/1.json").write_bytes(commit.model_copy(update={"rows": 1023}).to_json())
    with pytest.raises(CorruptObjectError, match=r"commits/1\.json \(task 1\): sha256 .*, the manifest says"):
        ArrayReader(objects, manifest).rows("rows/token", RowWindow(1, 0, 64))


def test_a_task_without_commit_is_not_read(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits/1.json").unlink()
    (folder / "manifest.json").unlink()
    manifest, objects = locate_store(folder)
    reader = ArrayReader(objects, manifest)
    assert len(reader.rows("rows/token", RowWindow(0, 0, 64))) == 64
    with pytest.raises(IncompleteStoreError, match="task 1 is not extracted yet"):
        reader.rows("rows/token", RowWindow(1, 0, 64))


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_few_shard_indices_are_kept_and_rows_come_all_the_same(
    store_of: StoreOf, monkeypatch: pytest.MonkeyPatch, compressor: str
) -> None:
    monkeypatch.setattr(module, "_INDICES_IN_MEMORY", 2)
    manifest, objects = locate_store(store_of(**{"store.compressor": compressor}))
    reader = ArrayReader(objects, manifest)
    tasks = [*range(manifest.frozen.tasks)] * 2
    found = [reader.rows("sites/embed/values", RowWindow(task, 0, 10)).tobytes() for task in tasks]
    assert found[: len(tasks) // 2] == found[len(tasks) // 2 :]
    assert len(reader._indices) == (2 if compressor == "zstd" else 0)


def test_damage_on_the_way_into_a_buffer_is_found(own_store: StoreOf) -> None:
    """A stream reads all columns of a window at once; the one that is damaged is named."""
    folder = own_store()
    manifest, objects = locate_store(folder)
    reader = reader_of(manifest, objects)
    buffer = RowBuffer.allocate(1024, reader.layout)
    for path in (
        "rows/sequence/c/2",
        "scales/row/c/2/0",
        "sites/embed/values/c/2/0",
        "sites/resid_post.1/values/c/2/0",
    ):
        whole = (folder / path).read_bytes()
        (folder / path).write_bytes(b"\x55" + whole[1:])
        with pytest.raises(CorruptObjectError, match=re.escape(f"{path} (task 2): chunk 0")):
            reader.read(RowWindow(2, 0, 1024), buffer)
        (folder / path).write_bytes(whole)
    reader.read(RowWindow(2, 0, 1024), buffer)


def test_a_closed_reader_has_forgotten_what_it_read(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = locate_store(folder)
    reader = ArrayReader(objects, manifest)
    reader.rows("rows/token", RowWindow(0, 0, 64))
    (folder / "commits/0.json").unlink()
    assert len(reader.rows("rows/token", RowWindow(0, 0, 64))) == 64
    reader.close()
    with pytest.raises(MissingObjectError, match=r"commits/0\.json"):
        reader.rows("rows/token", RowWindow(0, 0, 64))


class CountedObjects(LocalObjects):
    """Notes which objects are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        self.read.append(path)
        return super().get_range(path, start, stop)

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        self.read.append(path)
        return super().read_into(path, start, into)


@pytest.mark.parametrize(("kept_bytes", "requests"), [(64 << 20, 4), (0, 64)])
def test_origins_and_scales_are_read_once_a_task_if_they_fit_into_memory(
    store_of: StoreOf, monkeypatch: pytest.MonkeyPatch, kept_bytes: int, requests: int
) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", kept_bytes)
    folder = store_of()
    manifest, _ = locate_store(folder)
    objects = CountedObjects(folder)
    reader = reader_of(manifest, objects)
    buffer = RowBuffer.allocate(64, reader.layout)
    for start in range(0, 1024, 64):
        reader.read(RowWindow(0, start, start + 64), buffer)
    beside = [path for path in objects.read if not path.startswith(("sites/", "commits/"))]
    assert len(beside) == requests
    assert len(objects.read) == requests + 2 * 16 + objects.read.count("commits/0.json")
