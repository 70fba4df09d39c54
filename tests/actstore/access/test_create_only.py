"""Creating objects on file systems that lack what others have."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actstore.access.create_only import create_only, flush_folder
from tests.services.odd_disk import on_odd_disk

LINKS_REFUSED = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
CONFORM = """
import tempfile
from pathlib import Path
from actstore.access.local import PARTIAL, LocalObjects
from actstore.testing.conformance_objects import OBJECT_CHECKS

for check in OBJECT_CHECKS:
    with tempfile.TemporaryDirectory() as folder:
        check(LocalObjects(Path(folder) / "store"))
        assert not (Path(folder) / "store" / PARTIAL).exists()
"""
RACE = """
import sys
from pathlib import Path
from actstore.access.local import LocalObjects

objects, me = LocalObjects(Path(sys.argv[1])), sys.argv[2].encode()
for round in range(int(sys.argv[3])):
    print("ready", flush=True)
    sys.stdin.readline()
    print(objects.put_new(f"commits/{round}.json", me * 5000), flush=True)
"""
FAMILIES = [
    {"link": errno.EPERM},
    {"link": errno.EPERM, "rename": errno.EINVAL},
    {"link": errno.EOPNOTSUPP, "rename": errno.ENOSYS, "folder_fsync": errno.EINVAL},
]


def ids(refused: dict[str, int]) -> str:
    return ", ".join(f"{call}: {errno.errorcode[number]}" for call, number in refused.items())


@pytest.mark.parametrize("refused", [*({"link": number} for number in LINKS_REFUSED), *FAMILIES[1:]], ids=ids)
def test_a_directory_without_hard_links_conforms(odd_disk: Path, refused: dict[str, int]) -> None:
    subprocess.run([sys.executable, "-c", CONFORM], env=on_odd_disk(odd_disk, **refused), check=True)


@pytest.mark.parametrize("refused", FAMILIES, ids=ids)
def test_one_of_several_processes_creates_an_object(odd_disk: Path, tmp_path: Path, refused: dict[str, int]) -> None:
    names, rounds = "abcd", 25
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, name, str(rounds)],
            env=on_odd_disk(odd_disk, **refused),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for round_ in range(rounds):
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        answers = [writer.stdout.readline().strip() for writer in writers if writer.stdout]
        assert sorted(answers) == ["False"] * (len(names) - 1) + ["True"]
        winner = names[answers.index("True")]
        assert (tmp_path / f"commits/{round_}.json").read_text() == winner * 5000
    for writer in writers:
        writer.communicate()


def test_a_file_system_without_any_atomic_step_is_refused_with_a_way_out(odd_disk: Path, tmp_path: Path) -> None:
    program = (
        f"from pathlib import Path; from actstore.access.local import LocalObjects as O; O(Path({str(tmp_path)!r}))"
    )
    environment = on_odd_disk(odd_disk, link=errno.EPERM, rename=errno.EINVAL, flock=errno.ENOLCK)
    done = subprocess.run(
        [sys.executable, "-c", f"{program}.put_new('commits/0.json', b'x')"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "object commits/0.json cannot be written: the file system has no hard links" in done.stderr
    assert "a bucket by its address (s3://...)" in done.stderr
    assert not list(tmp_path.rglob("*.json"))


def test_a_name_that_is_taken_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "partial").write_text("new")
    (tmp_path / "target").write_text("old")
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        create_only(folder, "partial", folder, "target")
    os.close(folder)
    assert (tmp_path / "target").read_text() == "old"


def test_a_disk_that_fails_is_an_error_when_a_folder_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="Input/output error"):
        flush_folder(folder)
    os.close(folder)
