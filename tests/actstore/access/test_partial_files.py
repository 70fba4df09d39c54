"""Unfinished files are in a folder of the root, have names of their own, and go with their writer."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from actstore.access.below_root import LinkInTheWayError
from actstore.access.partial_files import PARTIAL, is_partial, new_partial, sweep_partials, unfinished_partials

LEFT = "0badcafe.0123456789abcdef"


def dead_pid() -> int:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    return dead.pid


def test_a_file_exists_as_long_as_it_is_written(tmp_path: Path) -> None:
    with new_partial(tmp_path / "root") as partial:
        os.write(partial.file, b"content")
        (path,) = (tmp_path / "root" / PARTIAL).iterdir()
        assert path.read_bytes() == b"content"
        assert is_partial(f"{PARTIAL}/{partial.name}")
        assert unfinished_partials(tmp_path / "root") == {}, "its writer is alive"
    assert list((tmp_path / "root").iterdir()) == []


def test_an_error_of_the_writer_is_passed_on_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="of the writer"), new_partial(tmp_path):
        raise FileNotFoundError("of the writer")
    assert list(tmp_path.iterdir()) == []


def test_the_umask_decides_on_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with new_partial(tmp_path) as partial:
            assert os.fstat(partial.file).st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_only_names_that_writers_give_are_swept(tmp_path: Path) -> None:
    host, dead = socket.gethostname(), dead_pid()
    kept = {f"{host}-{dead}-0", f"{host}-{dead}-thesis.tex", f"other-{dead}-{LEFT}"}
    left = {f"{host}-{dead}-{LEFT}", f"{host}-{os.getppid()}-{LEFT}"}  # nobody has a lock: the second id was given anew
    (tmp_path / PARTIAL).mkdir()
    for name in kept | left:
        (tmp_path / PARTIAL / name).touch()
    listed = unfinished_partials(tmp_path)
    assert {path.removeprefix(f"{PARTIAL}/") for path in listed} == kept | left
    sweep_partials(tmp_path)
    assert {path.name for path in (tmp_path / PARTIAL).iterdir()} == kept


def test_nothing_is_made_listed_or_swept_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{socket.gethostname()}-{dead_pid()}-{LEFT}").touch()
    before = set(elsewhere.iterdir())
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / PARTIAL).symlink_to(elsewhere)
    for act in (sweep_partials, unfinished_partials):
        with pytest.raises(LinkInTheWayError):
            act(tmp_path / "root")
    with pytest.raises(LinkInTheWayError), new_partial(tmp_path / "root"):
        pass
    assert set(elsewhere.iterdir()) == before


@pytest.mark.parametrize("name", ["notes", "a-b-c", "host-1-0", f"host-x-{LEFT}", f"host-1-{LEFT}.txt", f"-1-{LEFT}"])
def test_other_names_are_no_partial_files(name: str) -> None:
    assert not is_partial(f"{PARTIAL}/{name}")
    assert not is_partial(f"{PARTIAL}/deeper/host-1-{LEFT}/x")
