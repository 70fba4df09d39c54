"""Directories as object stores."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from actstore.access import local as local_objects
from actstore.access.local import PARTIAL, LocalObjects
from actstore.access.objects import ObjectStore
from actstore.access.partial_files import PartialFile
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError
from actstore.testing.conformance_objects import OBJECT_CHECKS

NOBODY = 65534
LEFT = "0badcafe.0123456789abcdef"
"""Last part of the name of a partial file of another process."""


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user whom permissions stop; root is stopped by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def stopping_writer(root: Path, write: str) -> str:
    """Return a program that puts one object whole, and stops itself when the bytes of the next are on disk."""
    return f"""
import os
from pathlib import Path
from actstore.access import local as local_objects

store = local_objects.LocalObjects(Path({str(root)!r}))
store.put("commits/0.json", b"whole")
fsync = os.fsync

def stop_before_the_rename(descriptor):
    fsync(descriptor)
    print("written", flush=True)
    os.kill(os.getpid(), {int(signal.SIGSTOP)})

local_objects.os.fsync = stop_before_the_rename
store.{write}("rows/c/0", b"x" * 100_000)
"""


@pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
def test_a_directory_conforms(check: Callable[[ObjectStore], None], tmp_path: Path) -> None:
    check(LocalObjects(tmp_path / "store"))
    assert not (tmp_path / "store" / PARTIAL).exists()


@pytest.mark.parametrize("write", ["put", "put_new"])
def test_a_writer_killed_in_mid_write_leaves_nothing_to_be_seen(tmp_path: Path, write: str) -> None:
    objects = LocalObjects(tmp_path / "store")
    program = stopping_writer(tmp_path / "store", write)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        objects.sweep()
        alive = list((tmp_path / "store" / PARTIAL).iterdir())
        writer.send_signal(signal.SIGKILL)
    assert len(alive) == 1, "sweeping took a partial file from a writer that was alive"
    assert objects.sizes() == {"commits/0.json": 5}
    assert alive[0].exists()
    objects.sweep()
    assert not (tmp_path / "store" / PARTIAL).exists()
    assert objects.sizes() == {"commits/0.json": 5}
    assert objects.put_new("rows/c/0", b"again")


def test_sweeping_leaves_other_machines_and_foreign_files_alone(tmp_path: Path) -> None:
    folder = tmp_path / PARTIAL
    folder.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = {"another-host-1-0", f"{socket.gethostname()}-1-7", ".DS_Store", "a-b-c", "notes"}
    for name in (*kept, f"{socket.gethostname()}-{dead.pid}-{LEFT}"):
        (folder / name).touch()
    LocalObjects(tmp_path).sweep()
    assert {path.name for path in folder.iterdir()} == kept


def test_sweeping_finds_the_leftovers_of_an_earlier_process_with_the_same_id(tmp_path: Path) -> None:
    """Where a container is restarted, the new process has the name of the host and the id of the killed one."""
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / f"{socket.gethostname()}-{os.getpid()}-{LEFT}").touch()
    LocalObjects(tmp_path).sweep()
    assert not (tmp_path / PARTIAL).exists()


def test_a_writer_killed_right_after_creating_an_object_leaves_the_object(tmp_path: Path) -> None:
    """Its partial file is then a second name of the object."""
    objects = LocalObjects(tmp_path)
    objects.put("commits/0.json", b"whole")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / f"{socket.gethostname()}-{dead.pid}-{LEFT}").hardlink_to(tmp_path / "commits/0.json")
    objects.put("rows/c/0", b"other")
    objects.sweep()
    assert not (tmp_path / PARTIAL).exists()
    assert objects.get("commits/0.json") == b"whole"


def test_sweeping_where_there_is_nothing_does_nothing(tmp_path: Path) -> None:
    LocalObjects(tmp_path / "nothing").sweep()
    assert not (tmp_path / "nothing").exists()


def test_a_directory_that_cannot_be_written_is_a_store_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        objects = LocalObjects(root)
        objects.put("there", b"x")
        root.chmod(0o555)
        with unprivileged():
            for write in (objects.put, objects.put_new):
                with pytest.raises(StoreError, match=r"object commits/0\.json cannot be written: Permission denied"):
                    write("commits/0.json", b"x")
            assert objects.get("there") == b"x"


def test_an_object_that_may_not_be_read_is_a_store_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        objects = LocalObjects(root)
        objects.put("secret/object", b"x")
        root.chmod(0o755)
        (root / "secret").chmod(0o700)
        with unprivileged():
            with pytest.raises(StoreError, match="secret/object cannot be read: Permission denied"):
                objects.get("secret/object")
            with pytest.raises(StoreError, match="secret cannot be listed: Permission denied"):
                objects.sizes()


@pytest.mark.parametrize("method", ["put", "put_new", "put_file"])
def test_a_full_disk_is_a_store_error_and_leaves_nothing_behind(tmp_path: Path, method: str) -> None:
    """A limit on the size of files stops a write half-way, like a disk without space."""
    local = tmp_path / "local"
    local.write_bytes(b"x" * 200_000)
    content = f"Path({str(local)!r})" if method == "put_file" else "b'x' * 200_000"
    program = f"""
import resource, signal
from pathlib import Path
from actstore.errors import StoreError
from actstore.access import local as local_objects
from actstore.access.local import LocalObjects

objects = LocalObjects(Path({str(tmp_path / "store")!r}))
objects.put("small", b"fits")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    objects.{method}("rows/c/0", {content})
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "object rows/c/0 cannot be written: File too large" in done.stdout
    assert LocalObjects(tmp_path / "store").sizes() == {"small": 4}
    assert not (tmp_path / "store" / PARTIAL).exists()


def test_a_local_file_that_is_gone_is_not_reported_as_a_missing_object(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written") as caught:
        LocalObjects(tmp_path).put_file("sequences.parquet", tmp_path / "gone")
    assert type(caught.value) is StoreError


def test_there_is_nothing_below_an_object(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("commits/0.json", b"x")
    with pytest.raises(MissingObjectError, match=r"commits/0\.json/1 is missing"):
        objects.get("commits/0.json/1")
    with pytest.raises(StoreError, match=r"commits/0\.json/1 cannot be written"):
        objects.put("commits/0.json/1", b"x")


def test_a_directory_knows_where_its_objects_lie(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("sites/embed/values/c/0/0", b"rows")
    assert objects.local_path("sites/embed/values/c/0/0").read_bytes() == b"rows"


def test_a_pipe_in_place_of_an_object_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    objects = LocalObjects(tmp_path)

    def open_it() -> None:
        with objects.open("pipe"):
            pass

    for read in (
        lambda: objects.get("pipe"),
        lambda: objects.get_range("pipe", 0, 4),
        lambda: objects.read_into("pipe", 0, memoryview(bytearray(4))),
        open_it,
    ):
        with pytest.raises(CorruptObjectError, match="pipe is not a file"):
            read()
    objects.put("pipe", b"a file again")
    assert objects.get("pipe") == b"a file again"


def test_what_exists_is_not_created_where_nothing_may_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        objects = LocalObjects(root)
        objects.put("there", b"x")
        root.chmod(0o555)
        with unprivileged():
            assert not objects.put_new("there", b"y")
            with pytest.raises(StoreError, match="object new cannot be written"):
                objects.put_new("new", b"y")


def test_an_object_is_not_created_where_a_folder_lies(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    with pytest.raises(StoreError, match="rows cannot be written: a folder lies in its place; remove it"):
        LocalObjects(tmp_path).put_new("rows", b"x")


class TestFoldersThatBecameEmpty:
    def test_are_removed_up_to_the_first_that_is_not(self, tmp_path: Path) -> None:
        objects = LocalObjects(tmp_path)
        for path in ("a/b/c/1", "a/kept", "d/e/2"):
            objects.put(path, b"x")
        for path in ("a/b/c/1", "d/e/2"):
            objects.delete(path)
        objects.remove_empty_folders(["a/b/c/1", "d/e/2", "nothing/here"])
        assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {"a", "a/kept"}

    def test_but_not_the_root(self, tmp_path: Path) -> None:
        LocalObjects(tmp_path).remove_empty_folders(["gone", "a/gone"])
        assert tmp_path.is_dir()

    @pytest.mark.parametrize("write", ["put", "put_new"])
    def test_do_not_stop_a_writer_that_was_about_to_use_them(
        self, write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = LocalObjects(tmp_path)
        write_durably = local_objects._write_durably

        def remove_then_write(partial: PartialFile, data: bytes) -> None:
            write_durably(partial, data)
            objects.remove_empty_folders(["rows/c/0"])
            assert not (tmp_path / "rows").exists()

        monkeypatch.setattr(local_objects, "_write_durably", remove_then_write)
        getattr(objects, write)("rows/c/0", b"x")
        assert objects.get("rows/c/0") == b"x"


def test_sweeping_finds_the_leftovers_of_a_dead_process_whose_id_another_one_has_now(tmp_path: Path) -> None:
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / f"{socket.gethostname()}-{os.getppid()}-{LEFT}").touch()
    LocalObjects(tmp_path).sweep()
    assert not (tmp_path / PARTIAL).exists()


@pytest.mark.parametrize("host", [socket.gethostname(), "another-host"])
def test_a_file_that_is_being_written_is_left_alone_wherever_its_writer_is(host: str, tmp_path: Path) -> None:
    """In another container the writer may have the name of this host, and an id that nobody has here."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / PARTIAL).mkdir()
    partial = tmp_path / PARTIAL / f"{host}-{dead.pid}-{LEFT}"
    with partial.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        LocalObjects(tmp_path).sweep()
        assert partial.exists()
        assert not LocalObjects(tmp_path).unfinished()
    assert list(LocalObjects(tmp_path).unfinished()) == [f"{PARTIAL}/{partial.name}"]
    LocalObjects(tmp_path).sweep()
    assert partial.exists() == (host == "another-host")


def test_without_locks_the_id_of_the_process_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / PARTIAL).mkdir()
    names = [f"{socket.gethostname()}-{pid}-{LEFT}" for pid in (os.getppid(), dead.pid)]
    for name in names:
        (tmp_path / PARTIAL / name).touch()
    objects = LocalObjects(tmp_path)
    objects.sweep()
    objects.put("commits/0.json", b"whole")
    assert [path.name for path in (tmp_path / PARTIAL).iterdir()] == names[:1]


def test_sweeping_all_the_time_disturbs_no_writer(tmp_path: Path) -> None:
    """The moment between the creation of a partial file and its lock is one at which it looks like a dead one's."""
    objects, over = LocalObjects(tmp_path), threading.Event()

    def sweep() -> None:
        while not over.is_set():
            objects.sweep()

    with ThreadPoolExecutor(4) as pool:
        sweeping = [pool.submit(sweep) for _ in range(4)]
        try:
            for number in range(600):
                assert objects.put_new(f"rows/c/{number}", b"x")
        finally:
            over.set()
        assert [future.result() for future in sweeping] == [None] * 4
    assert len(objects.sizes()) == 600


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_on_permissions(umask: int, mode: int, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_bytes(b"x")
    private.chmod(0o600)
    objects = LocalObjects(tmp_path / "store")
    before = os.umask(umask)
    try:
        objects.put("a/put", b"x")
        objects.put_new("a/new", b"x")
        objects.put_file("a/file", private)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "store" / "a").iterdir()} == {mode}


class TestLinks:
    def test_are_followed_to_read(self, tmp_path: Path) -> None:
        objects = LocalObjects(tmp_path / "store")
        objects.put("sites/embed/c/0", b"rows")
        (tmp_path / "store" / "sites").rename(tmp_path / "disk")
        (tmp_path / "store" / "sites").symlink_to(tmp_path / "disk")
        assert objects.get("sites/embed/c/0") == b"rows"
        assert objects.sizes("sites") == {"sites/embed/c/0": 4}

    def test_to_nowhere_and_in_a_circle_are_listed_by_their_own_size_and_age(self, tmp_path: Path) -> None:
        objects = LocalObjects(tmp_path)
        (tmp_path / "circle").symlink_to("circle")
        (tmp_path / "nowhere").symlink_to("gone")
        assert objects.sizes() == {"circle": 6, "nowhere": 4}
        assert objects.modified().keys() == {"circle", "nowhere"}

    @pytest.mark.parametrize("link", ["commits", "commits/0.json"])
    def test_in_a_circle_are_corrupt_and_to_nowhere_missing(self, link: str, tmp_path: Path) -> None:
        objects = LocalObjects(tmp_path)
        (tmp_path / link).parent.mkdir(exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / link)
        with pytest.raises(CorruptObjectError, match=f"{link} is a symbolic link that leads nowhere or in a circle"):
            objects.get("commits/0.json")
        (tmp_path / link).unlink()
        (tmp_path / link).symlink_to("gone")
        with pytest.raises(MissingObjectError, match=f"is missing: {link} is a symbolic link that leads nowhere"):
            objects.get("commits/0.json")

    @pytest.mark.parametrize("target", ["gone", "0.json"])
    def test_that_lead_nowhere_are_not_taken_for_an_object(self, target: str, tmp_path: Path) -> None:
        objects = LocalObjects(tmp_path)
        (tmp_path / "commits").mkdir()
        (tmp_path / "commits" / "0.json").symlink_to(target)
        with pytest.raises(StoreError, match=r"cannot be written: commits/0\.json is a symbolic link"):
            objects.put_new("commits/0.json", b"x")
        objects.put("commits/0.json", b"x")
        assert not (tmp_path / "commits" / "0.json").is_symlink()

    def test_to_a_folder_that_cannot_be_followed_do_not_make_it_empty(self, tmp_path: Path) -> None:
        (tmp_path / "commits").symlink_to("gone")
        with pytest.raises(CorruptObjectError, match="commits is a symbolic link that leads nowhere"):
            LocalObjects(tmp_path).sizes("commits")

    def test_keep_emptied_folders_behind_them(self, tmp_path: Path) -> None:
        (tmp_path / "disk" / "empty").mkdir(parents=True)
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "sites").symlink_to(tmp_path / "disk")
        LocalObjects(tmp_path / "store").remove_empty_folders(["sites/empty/0"])
        assert (tmp_path / "disk" / "empty").is_dir()
