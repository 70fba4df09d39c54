"""Directories as object stores."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actstore.access import local as local_objects
from actstore.access.local import PARTIAL, LocalObjects
from actstore.access.objects import ObjectStore
from actstore.errors import CorruptObjectError, MissingObjectError, StoreError
from actstore.testing.conformance_objects import OBJECT_CHECKS

NOBODY = 65534


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
    for name in (*kept, f"{socket.gethostname()}-{dead.pid}-0"):
        (folder / name).touch()
    LocalObjects(tmp_path).sweep()
    assert {path.name for path in folder.iterdir()} == kept


def test_sweeping_finds_the_leftovers_of_an_earlier_process_with_the_same_id(tmp_path: Path) -> None:
    """Where a container is restarted, the new process has the name of the host and the id of the killed one."""
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / f"{socket.gethostname()}-{os.getpid()}-0badcafe.0").touch()
    LocalObjects(tmp_path).sweep()
    assert not (tmp_path / PARTIAL).exists()


def test_a_writer_killed_right_after_creating_an_object_leaves_the_object(tmp_path: Path) -> None:
    """Its partial file is then a second name of the object."""
    objects = LocalObjects(tmp_path)
    objects.put("commits/0.json", b"whole")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / PARTIAL).mkdir()
    (tmp_path / PARTIAL / f"{socket.gethostname()}-{dead.pid}-0badcafe.0").hardlink_to(tmp_path / "commits/0.json")
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

        def remove_then_write(path: Path, data: bytes) -> None:
            write_durably(path, data)
            objects.remove_empty_folders(["rows/c/0"])
            assert not (tmp_path / "rows").exists()

        monkeypatch.setattr(local_objects, "_write_durably", remove_then_write)
        getattr(objects, write)("rows/c/0", b"x")
        assert objects.get("rows/c/0") == b"x"
