"""What a cache gives is what the store gives, whatever happens to the files on disk."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import google_crc32c
import numpy as np
import pytest
from numpy.typing import NDArray

from actstore import open_stream
from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.windows import RowWindow
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError, UsageError
from actstore.store.read.cached import CacheCounts, CachedObjects
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import stored_manifest
from actstore.store.read.reader import ArrayReader
from actstore.store.write.commit import load_commit
from tests.actstore.workflows.damage import in_memory

StoreOf = Callable[..., Path]
LARGE = 1 << 30
STORES: dict[str, dict[str, Any]] = {
    "int8": {},
    "int4": {"store.encoding": "int4"},
    "float16": {"store.encoding": "float16"},
    "zstd": {"store.compressor": "zstd"},
    "blosc": {"store.compressor": "blosc"},
}


class Far(LocalObjects):
    """A store far away: counts what is asked of it, and may be cut off."""

    asked_bytes = 0
    away = False

    def get(self, path: str) -> bytes:
        return self._asked(super().get(path))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        return self._asked(super().get_range(path, start, stop))

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        self._asked(bytes(into))
        return super().read_into(path, start, into)

    def _asked(self, data: bytes) -> bytes:
        if self.away:
            raise StoreError("the store is away")
        self.asked_bytes += len(data)
        return data


@pytest.fixture(params=["int8", "int8, small", "int4", "float16, small", "zstd, small", "blosc"])
def far(request: pytest.FixtureRequest, own_store: StoreOf, monkeypatch: pytest.MonkeyPatch) -> Far:
    """A store, of which a block holds all chunks of an object, or only some."""
    encoding, _, small = request.param.partition(", ")
    if small:
        monkeypatch.setattr("actstore.store.read.cached.BLOCK_BYTES", 2500)
    return Far(own_store(**STORES[encoding]))


@pytest.fixture
def plain(own_store: StoreOf) -> Far:
    return Far(own_store())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cached(far: Far, folder: Path, most_bytes: int | None = LARGE) -> tuple[CachedObjects, Manifest]:
    manifest = stored_manifest(far)
    return CachedObjects(far, manifest, folder, most_bytes), manifest


def windows(manifest: Manifest) -> list[RowWindow]:
    """Return windows of all lengths and places that cover every task, and some that overlap."""
    found = []
    for task in range(manifest.frozen.tasks):
        rows = manifest.frozen.rows_of(task)
        found += [RowWindow(task, start, min(start + 192, rows)) for start in range(0, rows, 192)]
        found += [RowWindow(task, 0, rows), RowWindow(task, rows // 3, rows // 3 + 1)]
    return found


def arrays(manifest: Manifest) -> list[str]:
    frozen = manifest.frozen
    specs = frozen.row_arrays
    return [spec.path for spec in specs]


def read_all(objects: Any, manifest: Manifest) -> list[NDArray[Any]]:
    reader = ArrayReader(objects, manifest)
    return [reader.rows(array, window) for window in windows(manifest) for array in arrays(manifest)]


def assert_same(found: list[NDArray[Any]], wanted: list[NDArray[Any]]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/??/*"))


def test_rows_are_the_same_with_and_without(far: Far, folder: Path) -> None:
    objects, manifest = cached(far, folder)
    wanted = read_all(far, manifest)
    assert_same(read_all(objects, manifest), wanted)
    assert objects.counts.fetched > 0
    assert objects.counts.damaged == 0


def test_nothing_is_asked_twice_not_even_by_another_process(far: Far, folder: Path) -> None:
    objects, manifest = cached(far, folder)
    wanted = read_all(objects, manifest)
    assert objects.counts.found > objects.counts.fetched
    far.away = True
    assert_same(read_all(objects, manifest), wanted)
    again = CachedObjects(far, manifest, folder, LARGE)
    assert_same(read_all(again, manifest), wanted)
    assert again.counts.fetched == 0


def test_little_more_is_fetched_than_was_asked_for(plain: Far, folder: Path) -> None:
    objects, manifest = cached(plain, folder)
    plain.asked_bytes = 0
    read_all(objects, manifest)
    needed = sum(
        stored.size
        for task in range(manifest.frozen.tasks)
        for path, stored in load_commit(plain, task).objects.items()
        if not path.startswith("statistics/")
    )
    assert plain.asked_bytes < 1.2 * needed


@pytest.mark.parametrize("start", [0, 1, 64 * 16, 5000])
@pytest.mark.parametrize("length", [1, 16 * 64, 4000])
def test_any_range_is_that_of_the_object(start: int, length: int, far: Far, folder: Path) -> None:
    objects, manifest = cached(far, folder)
    for array in arrays(manifest):
        path = f"{array}/c/1" + ("" if array.startswith("rows/") else "/0" if manifest.encoding != "int4" else "/0/0")
        if array.startswith("sites/"):
            path = f"{array}/c/1/0"
        size = len(far.get(path))
        for begin, end in ((start, start + length), (max(size - length, 0), size), (size - 1, size + 10)):
            wanted = far.get_range(path, begin, end)
            for _ in range(2):
                assert objects.get_range(path, begin, end) == wanted
                into = memoryview(bytearray(end - begin))
                assert objects.read_into(path, begin, into) == len(wanted)
                assert bytes(into[: len(wanted)]) == wanted


class TestDamagedFiles:
    SPOILS: tuple[Callable[[bytes], bytes], ...] = (
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1] + bytes([data[-1] ^ 128]),
        lambda data: bytes(len(data)),
    )

    def test_are_fetched_again_and_never_delivered(self, far: Far, folder: Path) -> None:
        objects, manifest = cached(far, folder)
        wanted = read_all(objects, manifest)
        kept = entries(folder)
        sound = {path: path.read_bytes() for path in kept}
        assert len(kept) > len(self.SPOILS)
        for path, spoil in zip(kept, cycle(self.SPOILS)):
            path.write_bytes(spoil(sound[path]))
        again = CachedObjects(far, manifest, folder, LARGE)
        assert_same(read_all(again, manifest), wanted)
        assert again.counts.fetched == len(kept)
        assert again.counts.damaged >= len(kept) * 4 // 6, "what is too large is not even read"
        assert {path: path.read_bytes() for path in entries(folder)} == sound

    def test_exchanged_are_fetched_again_too(self, far: Far, folder: Path) -> None:
        objects, manifest = cached(far, folder)
        wanted = read_all(objects, manifest)
        kept = entries(folder)
        contents = [path.read_bytes() for path in kept]
        for path, data in zip(kept, contents[1:] + contents[:1], strict=True):
            path.write_bytes(data)
        again = CachedObjects(far, manifest, folder, LARGE)
        assert_same(read_all(again, manifest), wanted)
        assert again.counts.damaged > 0

    def test_removed_while_in_use_are_fetched_again(self, far: Far, folder: Path) -> None:
        objects, manifest = cached(far, folder)
        wanted = read_all(objects, manifest)
        for path in entries(folder)[::2]:
            path.unlink()
        assert_same(read_all(objects, manifest), wanted)

    def test_that_cannot_be_read_are_as_good_as_never_kept(self, plain: Far, folder: Path) -> None:
        objects, manifest = cached(plain, folder)
        wanted = read_all(objects, manifest)
        for path in entries(folder)[::3]:
            path.unlink()
            path.mkdir()
        assert_same(read_all(objects, manifest), wanted)
        for path in entries(folder):
            if path.is_dir():
                path.rmdir()
        assert_same(read_all(objects, manifest), wanted)


class TestADamagedStore:
    def test_is_an_error_that_names_the_object_and_not_kept(self, far: Far, folder: Path) -> None:
        path = "sites/embed/values/c/1/0"
        data = far.get(path)
        objects, manifest = cached(far, folder)
        wanted = read_all(far, manifest)
        far.put(path, bytes([data[0] ^ 1]) + data[1:])
        for _ in range(2):
            with pytest.raises(CorruptObjectError, match=rf"{path} \(task 1\): chunk 0"):
                read_all(objects, manifest)
        far.put(path, data)
        assert_same(read_all(objects, manifest), wanted)

    @pytest.mark.parametrize("left", [0, 10, 5000])
    def test_that_ends_too_early_is_an_error_too(self, left: int, far: Far, folder: Path) -> None:
        path = "sites/embed/values/c/1/0"
        data = far.get(path)
        objects, manifest = cached(far, folder)
        # Some blocks after the place where it ends are kept already.
        ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(1, 640, 704))
        far.put(path, data[:left])
        empty = CachedObjects(far, manifest, folder.parent / "another", LARGE)
        with pytest.raises(CorruptObjectError, match=path):
            ArrayReader(empty, manifest).rows("sites/embed/values", RowWindow(1, 0, 1024))
        try:
            rows = ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(1, 0, 1024))
        except CorruptObjectError as error:
            assert path in str(error)  # noqa: PT017 - or everything was kept
        far.put(path, data)
        wanted = ArrayReader(far, manifest).rows("sites/embed/values", RowWindow(1, 0, 1024))
        for each in (objects, empty):
            rows = ArrayReader(each, manifest).rows("sites/embed/values", RowWindow(1, 0, 1024))
            np.testing.assert_array_equal(rows, wanted)

    def test_with_the_index_of_other_bytes_heals_when_the_store_does(self, own_store: StoreOf, folder: Path) -> None:
        far = Far(own_store(**STORES["zstd"]))
        manifest = stored_manifest(far)
        wanted = read_all(far, manifest)
        path = "sites/embed/values/c/1/0"
        data = far.get(path)
        size = 16 * (1024 // 64)
        index = np.frombuffer(data[-size - 4 : -4], dtype="<u8").reshape(-1, 2).copy()
        index[0, 1] += 7
        index[1, 0] += 7
        index[1, 1] -= 7
        other = index.tobytes()
        far.put(path, data[: -size - 4] + other + google_crc32c.value(other).to_bytes(4, "little"))
        objects = CachedObjects(far, manifest, folder, LARGE)
        with pytest.raises(CorruptObjectError, match=path):
            read_all(objects, manifest)
        far.put(path, data)
        for each in (objects, CachedObjects(far, manifest, folder, LARGE)):
            assert_same(read_all(each, manifest), wanted)

    def test_that_lost_an_object_says_so(self, plain: Far, folder: Path) -> None:
        objects, manifest = cached(plain, folder)
        plain.delete("rows/token/c/1")
        with pytest.raises(MissingObjectError, match="rows/token/c/1"):
            read_all(objects, manifest)

    def test_with_an_edited_commit_is_not_kept(self, plain: Far, folder: Path) -> None:
        objects, manifest = cached(plain, folder)
        sound = plain.get("commits/1.json")
        plain.put("commits/1.json", sound.replace(b"train", b"tryin"))
        with pytest.raises(CorruptObjectError, match="the manifest says"):
            read_all(objects, manifest)
        plain.put("commits/1.json", sound)
        read_all(objects, manifest)


class TestTheLimit:
    def test_holds_while_everything_is_read_again_and_again(self, plain: Far, folder: Path) -> None:
        manifest = stored_manifest(plain)
        wanted = read_all(plain, manifest)
        objects = CachedObjects(plain, manifest, folder, 300_000)
        for _ in range(2):
            assert_same(read_all(objects, manifest), wanted)
            assert sum(path.stat().st_size for path in entries(folder)) <= 300_000

    @pytest.mark.parametrize("most_bytes", [0, 1, 262_144, None])
    def test_below_a_block_is_refused(self, most_bytes: int | None, plain: Far, folder: Path) -> None:
        with pytest.raises(UsageError, match=r"cannot hold a block of .*; give at least 294912 \(--cache-bytes\)"):
            cached(plain, folder, most_bytes)
        assert not folder.exists()
        cached(plain, folder, 294_912)


def test_threads_share_it(plain: Far, folder: Path) -> None:
    objects, manifest = cached(plain, folder, 400_000)
    wanted = read_all(plain, manifest)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(read_all, objects, manifest) for _ in range(6)]:
            assert_same(done.result(), wanted)


def test_two_stores_share_a_folder(plain: Far, store_of: StoreOf, folder: Path) -> None:
    other = Far(store_of(seed=1))
    first, first_manifest = cached(plain, folder)
    second, second_manifest = cached(other, folder)
    for _ in range(2):
        assert_same(read_all(first, first_manifest), read_all(plain, first_manifest))
        assert_same(read_all(second, second_manifest), read_all(other, second_manifest))


def test_the_same_store_elsewhere_needs_nothing(plain: Far, folder: Path, tmp_path: Path) -> None:
    objects, manifest = cached(plain, folder)
    wanted = read_all(objects, manifest)
    moved = Far(Path(plain.uri).rename(tmp_path / "moved"))
    moved.away = True
    assert_same(read_all(CachedObjects(moved, manifest, folder, LARGE), manifest), wanted)


def test_what_is_no_row_goes_past_it(plain: Far, folder: Path) -> None:
    objects, _manifest = cached(plain, folder)
    assert objects.uri == plain.uri
    assert objects.sizes("commits") == plain.sizes("commits")
    assert objects.modified("commits") == plain.modified("commits")
    for path in ("recipe.json", "zarr.json", "statistics/mean/c/1/0/0", "sites/embed/center/c/0"):
        assert objects.get(path) == plain.get(path)
        assert objects.get_range(path, 3, 40) == plain.get_range(path, 3, 40)
    with objects.open("sequences.parquet") as file:
        assert file.read() == plain.get("sequences.parquet")
    with pytest.raises(MissingObjectError):
        objects.get("commits/99.json")
    objects.put("notes", b"1")
    assert not objects.put_new("notes", b"2")
    objects.put_file("notes", plain.local_path("zarr.json"))
    assert objects.get("notes") == plain.get("zarr.json")
    objects.delete("notes")
    objects.sweep()
    assert "notes" not in plain.sizes()
    assert objects.counts == CacheCounts(0, 0, 0)


class TestAStream:
    @pytest.fixture
    def uri(self, store_of: StoreOf) -> Iterator[str]:
        with in_memory() as there:
            folder = store_of()
            for path in folder.rglob("*"):
                if path.is_file():
                    there.put(path.relative_to(folder).as_posix(), path.read_bytes())
            yield there.uri

    def rows(self, uri: str, **options: Any) -> NDArray[np.float32]:
        with open_stream(uri, sites=["embed"], batch_rows=256, buffer_bytes=200_000, **options) as stream:
            return np.concatenate([batch.values_BSD.copy() for batch in stream])

    def test_delivers_the_same_rows_and_fills_the_folder(self, uri: str, folder: Path) -> None:
        wanted = self.rows(uri)
        for _ in range(2):
            np.testing.assert_array_equal(self.rows(uri, cache=folder, cache_bytes=LARGE), wanted)
        assert entries(folder)

    def test_reads_from_the_folder(self, uri: str, folder: Path) -> None:
        wanted = self.rows(uri, cache=folder, cache_bytes=LARGE)
        there = open_objects(uri)
        for path in list(there.sizes("sites")) + list(there.sizes("scales")):
            if "/c/" in path and not path.endswith(("center/c/0", "channel/c/0")):
                there.put(path, b"gone")
        np.testing.assert_array_equal(self.rows(uri, cache=folder, cache_bytes=LARGE), wanted)
        with pytest.raises(CorruptObjectError):
            self.rows(uri)

    def test_says_what_is_missing(self, uri: str, folder: Path) -> None:
        with pytest.raises(UsageError, match=r"cache \(--cache\) needs cache_bytes \(--cache-bytes\)"):
            self.rows(uri, cache=folder)
        with pytest.raises(UsageError, match=r"cache_bytes .* needs cache"):
            self.rows(uri, cache_bytes=LARGE)
        folder.touch()
        with pytest.raises(StoreError, match=f"the cache in {folder} cannot be used"):
            self.rows(uri, cache=str(folder), cache_bytes=LARGE)


def test_names_of_entries_say_nothing_of_where_the_store_is(plain: Far, folder: Path) -> None:
    objects, manifest = cached(plain, folder)
    read_all(objects, manifest)
    assert all(len(path.name) == 64 and path.name != uuid4().hex for path in entries(folder))
