"""Windows back out of a store, every byte checked."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.objects import ObjectStore
from actstore.contracts.tasks import TaskRows
from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import CorruptObjectError, IncompleteStoreError, MissingObjectError, SiteError
from actstore.quantize.table import QUANTIZERS
from actstore.store.commit import load_commit
from actstore.store.layout import row_arrays
from actstore.store.manifest import Manifest
from actstore.store.objects import LocalObjects, open_objects
from actstore.store.open import open_store
from actstore.store.reader import StoreReader
from actstore.store.shard import index_bytes
from actstore.testing.conformance_windows import WINDOW_CHECKS, WindowCase

StoreOf = Callable[..., Path]
ENCODINGS = [{}, {"store.encoding": "float16"}, {"store.compressor": "zstd"}, {"store.compressor": "blosc"}]
SITES = ("resid_post.1", "embed")


def case_of(manifest: Manifest, objects: ObjectStore) -> WindowCase:
    quantizer = QUANTIZERS[manifest.encoding]
    tasks = {task: manifest.frozen.rows_of(task) for task in (0, manifest.frozen.tasks - 1)}
    return WindowCase(
        StoreReader(objects, manifest, SITES),
        tasks=tasks,
        task_rows=1024,
        sites=2,
        width=16,
        dtype=quantizer.stored_dtype,
        scaled=quantizer.calibrated,
    )


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
@pytest.mark.parametrize("check", WINDOW_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(store_of: StoreOf, check: Callable[[WindowCase], None], changes: dict[str, str]) -> None:
    check(case_of(*open_store(store_of(**changes))))


def test_it_conforms_over_fsspec(store_of: StoreOf) -> None:
    local, remote = LocalObjects(store_of()), open_objects("memory://reader/store")
    for path in local.sizes():
        remote.put(path, local.get(path))
    for check in WINDOW_CHECKS:
        check(case_of(*open_store("memory://reader/store")))


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_windows_hold_what_plain_zarr_reads(store_of: StoreOf, changes: dict[str, str]) -> None:
    folder = store_of(**changes)
    manifest, objects = open_store(folder)
    root = zarr.open_group(folder, mode="r")
    arrays = {path: np.asarray(root[path]) for path in ("rows/sequence", *(f"sites/{site}/values" for site in SITES))}
    scales = np.asarray(root["scales/row"]) if manifest.encoding == "int8" else None
    reader = StoreReader(objects, manifest, SITES)
    rng = np.random.default_rng(0)
    for task in range(manifest.frozen.tasks):
        rows = manifest.frozen.rows_of(task)
        start, stop = sorted(rng.choice(rows + 1, 2, replace=False).tolist())
        buffer = RowBuffer.allocate(
            stop - start, 2, 16, QUANTIZERS[manifest.encoding].stored_dtype, scaled=scales is not None
        )
        reader.read(RowWindow(task, start, stop), buffer)
        here = slice(task * 1024 + start, task * 1024 + stop)
        for slot, site in enumerate(SITES):
            assert buffer.values_NSD[:, slot].tobytes() == arrays[f"sites/{site}/values"][here].tobytes()
        assert buffer.sequence_N.tolist() == arrays["rows/sequence"][here].tolist()
        assert buffer.row_N.tolist() == list(range(here.start, here.stop))
        if scales is not None:
            assert buffer.scale_NS is not None
            assert buffer.scale_NS.tolist() == scales[here][:, [2, 0]].tolist()


@given(start=st.integers(0, 1023), rows=st.integers(1, 1024), changes=st.sampled_from(ENCODINGS))
def test_every_alignment_gives_the_rows(
    store_of: StoreOf, rows_of: Callable[[LocalObjects, int], TaskRows], start: int, rows: int, changes: dict[str, str]
) -> None:
    manifest, objects = open_store(store_of(**changes))
    stop = min(start + rows, 1024)
    reader = StoreReader(objects, manifest, ["embed"])
    whole = reader.rows("rows/position", RowWindow(0, 0, 1024))
    assert reader.rows("rows/position", RowWindow(0, start, stop)).tolist() == whole[start:stop].tolist()


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_a_flipped_byte_in_any_object_of_any_array_is_found(own_store: StoreOf, changes: dict[str, str]) -> None:
    """Wherever it is in the bytes that a window needs; the error names object and task."""
    folder = own_store(**changes)
    manifest, objects = open_store(folder)
    frozen = manifest.frozen
    arrays = row_arrays(frozen.sites, QUANTIZERS[manifest.encoding], frozen.recipe.store, frozen.array_rows)
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
                StoreReader(objects, manifest, ["embed"]).rows(spec.path, RowWindow(2, 0, 1024))
        path.write_bytes(whole)


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.9])
def test_an_object_cut_short_is_found(own_store: StoreOf, changes: dict[str, str], kept: float) -> None:
    folder = own_store(**changes)
    manifest, objects = open_store(folder)
    path = folder / "sites/embed/values/c/0/0"
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else 1])
    with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/0/0 \(task 0\)"):
        StoreReader(objects, manifest, ["embed"]).rows("sites/embed/values", RowWindow(0, 0, 1024))


def test_damage_outside_the_window_is_left_to_verify(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = open_store(folder)
    path = folder / "rows/sequence/c/0"
    whole = path.read_bytes()
    path.write_bytes(b"\xff" * 512 + whole[512:])
    reader = StoreReader(objects, manifest, ["embed"])
    assert len(reader.rows("rows/sequence", RowWindow(0, 64, 1024))) == 960
    with pytest.raises(CorruptObjectError, match="chunk 0 does not have the checksum"):
        reader.rows("rows/sequence", RowWindow(0, 63, 1024))


@pytest.mark.parametrize("changes", ENCODINGS, ids=str)
def test_the_object_of_another_task_is_found(own_store: StoreOf, changes: dict[str, str]) -> None:
    folder = own_store(**changes)
    manifest, objects = open_store(folder)
    last = manifest.frozen.tasks - 1
    for other in (1, last):
        data = (folder / f"sites/embed/values/c/{other}/0").read_bytes()
        (folder / "sites/embed/values/c/0/0").write_bytes(data)
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/0/0 \(task 0\)"):
            StoreReader(objects, manifest, ["embed"]).rows("sites/embed/values", RowWindow(0, 0, 1024))


def test_a_lost_object_is_missing(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = open_store(folder)
    (folder / "scales/row/c/3/0").unlink()
    with pytest.raises(MissingObjectError, match="scales/row/c/3/0"):
        StoreReader(objects, manifest, ["embed"]).rows("scales/row", RowWindow(3, 0, 64))


def test_a_commit_written_since_the_manifest_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = open_store(folder)
    commit = load_commit(objects, 1)
    (folder / "commits/1.json").write_bytes(commit.model_copy(update={"rows": 1023}).to_json())
    with pytest.raises(CorruptObjectError, match=r"commits/1\.json \(task 1\): sha256 .*, the manifest says"):
        StoreReader(objects, manifest, ["embed"]).rows("rows/token", RowWindow(1, 0, 64))


def test_a_task_without_commit_is_not_read(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits/1.json").unlink()
    (folder / "manifest.json").unlink()
    manifest, objects = open_store(folder)
    reader = StoreReader(objects, manifest, ["embed"])
    assert len(reader.rows("rows/token", RowWindow(0, 0, 64))) == 64
    with pytest.raises(IncompleteStoreError, match="task 1 is not extracted yet"):
        reader.rows("rows/token", RowWindow(1, 0, 64))


def test_sites_that_the_store_does_not_have_are_refused(store_of: StoreOf) -> None:
    manifest, objects = open_store(store_of())
    with pytest.raises(SiteError, match=r"no site 'resid_post\.7'; the store has embed, resid_post\.0"):
        StoreReader(objects, manifest, ["embed", "resid_post.7"])


def test_a_closed_reader_has_forgotten_what_it_read(own_store: StoreOf) -> None:
    folder = own_store()
    manifest, objects = open_store(folder)
    reader = StoreReader(objects, manifest, ["embed"])
    reader.rows("rows/token", RowWindow(0, 0, 64))
    (folder / "commits/0.json").unlink()
    assert len(reader.rows("rows/token", RowWindow(0, 0, 64))) == 64
    reader.close()
    with pytest.raises(MissingObjectError, match=r"commits/0\.json"):
        reader.rows("rows/token", RowWindow(0, 0, 64))
