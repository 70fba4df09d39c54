"""Entries are whole or absent, never more than allowed, whoever else uses the folder and however it dies."""

import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from actstore.access.cache_folder import CacheFolder
from actstore.errors import StoreError


def name(key: object) -> str:
    return hashlib.sha256(str(key).encode()).hexdigest()


def content(folder: Path) -> dict[str, bytes]:
    """Return every entry by its name."""
    return {path.name: path.read_bytes() for path in folder.glob("*/??/*")}


def held(folder: Path) -> int:
    return sum(map(len, content(folder).values()))


def test_an_entry_comes_back_and_what_was_never_kept_does_not(tmp_path: Path) -> None:
    cache = CacheFolder(tmp_path / "new" / "cache", 1000)
    assert cache.get(name(1)) is None
    for data in (b"one", b"", b"another one"):
        cache.put(name(1), data)
        assert cache.get(name(1)) == data
    assert cache.get(name(2)) is None
    cache.discard(name(1))
    cache.discard(name(1))
    assert cache.get(name(1)) is None


def test_another_process_finds_it(tmp_path: Path) -> None:
    CacheFolder(tmp_path, 1000).put(name(1), b"kept")
    assert CacheFolder(tmp_path, 1000).get(name(1)) == b"kept"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = CacheFolder(tmp_path, 1000)
    for key in range(10):
        cache.put(name(key), bytes([key]) * 100)
    for key in (0, 3, 7):
        assert cache.get(name(key)) is not None
    cache.put(name(10), b"x" * 100)
    there = {key for key in range(11) if name(key) in content(tmp_path)}
    assert {0, 3, 7, 10} <= there
    assert not {1, 2} & there
    assert held(tmp_path) <= 1000


def test_the_limit_holds_whatever_is_put(tmp_path: Path) -> None:
    cache = CacheFolder(tmp_path, 10_000)
    sizes = random.Random(0)
    for key in range(300):
        data = bytes(sizes.randrange(3000))
        cache.put(name(key), data)
        assert cache.get(name(key)) == data, "what was just put is there"
        assert held(tmp_path) <= 10_000
    assert held(tmp_path) > 5_000, "and no more is thrown away than needed"


def test_a_smaller_limit_makes_room_when_it_is_opened(tmp_path: Path) -> None:
    large = CacheFolder(tmp_path, 10_000)
    for key in range(10):
        large.put(name(key), bytes(1000))
    CacheFolder(tmp_path, 3000)
    assert held(tmp_path) <= 3000


def test_what_is_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1,001 bytes in a cache of 1,000"):
        CacheFolder(tmp_path, 1000).put(name(1), bytes(1001))


def test_nothing_else_in_the_folder_is_touched(tmp_path: Path) -> None:
    mine = {"thesis.tex": bytes(5000), "actstore-cache-1/notes": b"mine", f"actstore-cache-1/{name(1)[:2]}/x": b"mine"}
    for path, data in mine.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    cache = CacheFolder(tmp_path, 1000)
    for key in range(50):
        cache.put(name(key), bytes(100))
    assert {path: (tmp_path / path).read_bytes() for path in mine} == mine


class TestManyAtOnce:
    def test_threads(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 5000)

        def work(seed: int) -> None:
            _put_and_get(cache, seed)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, seed) for seed in range(8)]:
                done.result()
        assert held(tmp_path) <= 5000

    def test_what_is_being_written_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cache = CacheFolder(tmp_path, 1000)
        held_meanwhile: list[int] = []
        write_bytes = Path.write_bytes

        def slow(path: Path, data: bytes) -> int:
            monkeypatch.setattr(Path, "write_bytes", write_bytes)
            for key in range(20):
                cache.put(name(key), bytes(300))
                held_meanwhile.append(held(tmp_path))
            return write_bytes(path, data)

        monkeypatch.setattr(Path, "write_bytes", slow)
        cache.put(name("slow"), bytes(600))
        assert set(held_meanwhile) == {300}
        assert cache.get(name("slow")) == bytes(600)
        assert held(tmp_path) <= 1000

    def test_processes(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_work, args=(tmp_path, seed)) for seed in range(3)]
        for process in processes:
            process.start()
        most = 0
        while any(process.is_alive() for process in processes):
            most = max(most, _size(tmp_path))
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert 0 < most <= 2 * 5000
        assert held(tmp_path) <= 5000


def _size(folder: Path) -> int:
    """Add up entries while others come and go; one that was counted may be gone before the next one comes."""
    total = 0
    for path in folder.glob("*/??/*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _work(folder: Path, seed: int) -> None:
    _put_and_get(CacheFolder(folder, 5000), seed)


def _put_and_get(cache: CacheFolder, seed: int) -> None:
    """Put and get entries whose content follows from their name."""
    keys = random.Random(seed)
    for _ in range(200):
        key = keys.randrange(40)
        wanted = str(key).encode() * (50 + key * 10)
        found = cache.get(name(key))
        assert found in {None, wanted}
        if found is None:
            cache.put(name(key), wanted)


class TestDeath:
    @pytest.mark.parametrize("moment", ["write_bytes", "replace", "unlink", "write_text"])
    def test_in_the_middle_of_a_put_leaves_no_torn_entry_and_no_lock(self, moment: str, tmp_path: Path) -> None:
        program = f"""
import os, signal
from pathlib import Path
from actstore.access.cache_folder import CacheFolder

cache = CacheFolder(Path({str(tmp_path)!r}), 1000)
for key in range(8):
    cache.put(f"{{key:064x}}", bytes([key]) * 100)
original = Path.{moment}
def deadly(self, *arguments, **options):
    if {moment!r} == "write_bytes":
        original(self, arguments[0][:50])
    os.kill(os.getpid(), signal.SIGKILL)
Path.{moment} = deadly
cache.put("f" * 64, bytes(100))
cache.put("e" * 64, bytes(200))
"""
        done = subprocess.run([sys.executable, "-c", program], check=False)
        assert done.returncode == -signal.SIGKILL
        cache = CacheFolder(tmp_path, 1000)
        for key in range(8):
            assert cache.get(f"{key:064x}") in {None, bytes([key]) * 100}
        assert cache.get("f" * 64) in {None, bytes(100)}
        cache.put("f" * 64, bytes(100))
        assert cache.get("f" * 64) == bytes(100)
        assert held(tmp_path) <= 1000

    def test_leaves_partial_files_that_go_in_time(self, tmp_path: Path) -> None:
        CacheFolder(tmp_path, 1000)
        old, young = (tmp_path / "actstore-cache-1" / f".partial-{which}" for which in ("old", "young"))
        for path in (old, young):
            path.write_bytes(bytes(10))
        os.utime(old, (time.time() - 7200,) * 2)
        CacheFolder(tmp_path, 1000)
        assert (old.exists(), young.exists()) == (False, True)

    @pytest.mark.parametrize("count", [b"", b"many", b"-5", b"99999999999"])
    def test_may_leave_the_count_wrong_which_rights_itself(self, count: bytes, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 1000)
        cache.put(name(0), bytes(900))
        (tmp_path / "actstore-cache-1" / "used").write_bytes(count)
        for key in range(1, 30):
            cache.put(name(key), bytes(100))
        CacheFolder(tmp_path, 1000)
        assert held(tmp_path) <= 1000


class TestDirt:
    def test_in_place_of_the_count(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 1000)
        count = tmp_path / "actstore-cache-1" / "used"
        for dirt in ("empty", "full", "pipe"):
            count.unlink(missing_ok=True)
            if dirt == "pipe":
                os.mkfifo(count)
            else:
                (count / "mine" if dirt == "full" else count).mkdir(parents=True)
            for key in range(30):
                cache.put(name((dirt, key)), bytes(100))
                assert cache.get(name((dirt, key))) == bytes(100)
            CacheFolder(tmp_path, 1000)
            assert 0 < held(tmp_path) <= 1000
            if dirt == "full":
                (count / "mine").rmdir()
                CacheFolder(tmp_path, 1000)

    def test_in_place_of_an_entry(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 1000)
        for key, make in enumerate((Path.mkdir, os.mkfifo)):
            place = tmp_path / "actstore-cache-1" / name(key)[:2] / name(key)
            place.parent.mkdir(exist_ok=True)
            make(place)  # type: ignore[operator]
            assert cache.get(name(key)) is None
            cache.put(name(key), b"x")
        assert cache.get(name(0)) is None, "a folder may hold something of somebody's"
        assert cache.get(name(1)) == b"x"
        for key in range(2, 30):
            cache.put(name(key), bytes(100))
        CacheFolder(tmp_path, 500)

    def test_in_place_of_the_folder_of_an_entry(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 1000)
        (tmp_path / "actstore-cache-1" / name(1)[:2]).touch()
        cache.put(name(1), b"x")
        assert cache.get(name(1)) is None
        (tmp_path / "actstore-cache-1" / ".partial-folder").mkdir()
        os.utime(tmp_path / "actstore-cache-1" / ".partial-folder", (0, 0))
        CacheFolder(tmp_path, 1000)

    def test_of_a_size_that_no_entry_has_is_not_read(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path, 1000)
        cache.put(name(1), bytes(100))
        assert cache.get(name(1), most_bytes=100) == bytes(100)
        assert cache.get(name(1), most_bytes=99) is None
        os.truncate(next(tmp_path.glob("*/??/*")), 1 << 40)
        assert cache.get(name(1)) is None
        cache.put(name(1), b"x")
        assert cache.get(name(1)) == b"x"


class TestLinks:
    """They may lead to files of somebody else."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> Path:
        folder = tmp_path / "elsewhere"
        for path in (name(1), "lock", "used", "mine", f"{name(1)[:2]}/{name(1)}", ".partial-3-old"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(b"mine")
            os.utime(folder / path, (1, 1))
        return folder

    @staticmethod
    def state(folder: Path) -> dict[str, tuple[bytes, float]]:
        return {
            path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime)
            for path in folder.rglob("*")
            if path.is_file()
        }

    @pytest.mark.parametrize(
        "link", ["actstore-cache-1/lock", "actstore-cache-1/used", f"actstore-cache-1/{name(1)[:2]}/{name(1)}"]
    )
    @pytest.mark.parametrize("target", ["mine", "new"])
    def test_in_place_of_a_file_are_not_followed(self, link: str, target: str, elsewhere: Path, tmp_path: Path) -> None:
        before = self.state(elsewhere)
        (tmp_path / "cache" / link).parent.mkdir(parents=True)
        (tmp_path / "cache" / link).symlink_to(elsewhere / target)
        with suppress(StoreError):
            cache = CacheFolder(tmp_path / "cache", 1000)
            assert cache.get(name(1)) is None
            cache.put(name(1), b"own")
            assert cache.get(name(1)) == b"own"
            cache.discard(name(1))
        assert self.state(elsewhere) == before

    def test_in_place_of_the_folder_of_an_entry_are_not_followed(self, elsewhere: Path, tmp_path: Path) -> None:
        before = self.state(elsewhere)
        cache = CacheFolder(tmp_path / "cache", 1000)
        (tmp_path / "cache" / "actstore-cache-1" / name(1)[:2]).symlink_to(elsewhere / name(1)[:2])
        assert cache.get(name(1)) is None
        cache.put(name(1), b"own")
        cache.discard(name(1))
        CacheFolder(tmp_path / "cache", 1)
        assert self.state(elsewhere) == before

    def test_in_place_of_all_entries_are_refused(self, elsewhere: Path, tmp_path: Path) -> None:
        before = self.state(elsewhere)
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "actstore-cache-1").symlink_to(elsewhere)
        with pytest.raises(StoreError, match="actstore-cache-1 is a symbolic link"):
            CacheFolder(tmp_path / "cache", 1)
        assert self.state(elsewhere) == before

    def test_to_the_folder_that_was_named_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "cache").symlink_to(tmp_path / "disk")
        CacheFolder(tmp_path / "cache", 1000).put(name(1), b"x")
        assert CacheFolder(tmp_path / "disk", 1000).get(name(1)) == b"x"


class TestAFolderThatCannotBeUsed:
    def test_since_it_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match=rf"the cache in {tmp_path}/file cannot be used: .*give another folder"):
            CacheFolder(tmp_path / "file", 1000)

    def test_since_nothing_can_be_made_there(self) -> None:
        with pytest.raises(StoreError, match="the cache in /proc/cache cannot be used: "):
            CacheFolder(Path("/proc/cache"), 1000)

    def test_since_it_went_away(self, tmp_path: Path) -> None:
        cache = CacheFolder(tmp_path / "cache", 1000)
        (tmp_path / "cache").rename(tmp_path / "elsewhere")
        assert cache.get(name(1)) is None
        with pytest.raises(StoreError, match="cannot be used: No such file or directory"):
            cache.put(name(1), b"x")
