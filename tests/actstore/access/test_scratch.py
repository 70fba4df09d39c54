"""Temporary folders: gone when they are not needed, also after a kill, and never taken from a process that lives."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from actstore.access.scratch import holding, left_scratch, lock, scratch_folder, sweep_scratch

HOLDER = """
import sys, time
from actstore.access.scratch import scratch_folder
with scratch_folder("spool") as folder:
    (folder / "sequences.parquet").write_bytes(b"x" * 1000)
    (folder / "deeper").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""
Hold = Callable[[], tuple["subprocess.Popen[str]", Path]]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def hold(temporary: Path) -> Iterator[Hold]:
    """Return a process that uses a folder, and the folder."""
    with ExitStack() as stack:

        def held() -> tuple[subprocess.Popen[str], Path]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLDER],
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"TMPDIR": str(temporary)},
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, Path(process.stdout.readline().strip())

        yield held


def test_it_is_there_and_then_it_is_gone(temporary: Path) -> None:
    with scratch_folder("spool") as folder:
        assert folder.parent == temporary
        (folder / "file").touch()
        sweep_scratch()
        assert (folder / "file").exists()
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_goes_with_the_next_run_and_that_of_a_living_one_stays(
    hold: Hold, temporary: Path
) -> None:
    (dead, left), (_, used) = hold(), hold()
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    assert (left / "sequences.parquet").exists()
    assert left_scratch() == [left]
    with scratch_folder("workers") as own:
        assert set(temporary.iterdir()) == {used, own}
        assert (used / "sequences.parquet").exists()


def test_nothing_else_is_removed(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").touch()
    with scratch_folder("spool") as folder:
        name = folder.name
    host = name.removeprefix("actstore-spool-").rpartition("-")[0]
    kept = [f"actstore-spool-other{host}-abcdefgh", "actstore-abcdefgh", f"actstore-spool-{host}-toolongname", "mine"]
    for each in kept:
        (temporary / each).mkdir()
    (temporary / f"actstore-spool-{host}-afile000").touch()
    (temporary / f"actstore-spool-{host}-alink000").symlink_to(outside)
    before = set(temporary.iterdir())
    sweep_scratch()
    assert set(temporary.iterdir()) == before
    assert (outside / "precious").exists()
    (temporary / name).mkdir()
    sweep_scratch()
    assert set(temporary.iterdir()) == before


def test_many_at_once_do_not_disturb_each_other(temporary: Path) -> None:
    def use(_: int) -> None:
        with scratch_folder("spool") as folder:
            (folder / "file").write_text("mine")
            sweep_scratch()
            assert (folder / "file").read_text() == "mine"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(100)))
    assert not list(temporary.iterdir())


def test_without_a_temporary_directory_it_is_an_error(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "none"))
    with pytest.raises(FileNotFoundError), scratch_folder("spool"):
        pytest.fail("there is none")


def test_a_lock_is_held_until_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with holding(path) as held:
        assert held
        assert lock(descriptor) is False
    assert lock(descriptor)
    with holding(path) as held:
        assert held is False
    os.close(descriptor)
    with holding(path) as held:
        assert held
