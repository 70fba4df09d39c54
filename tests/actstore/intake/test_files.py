import hashlib
import os
from pathlib import Path

import pytest

from actstore.contracts.progress import Silent
from actstore.errors import SourceError
from actstore.intake.files import digest_files, files_below, name_in, read_json


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("shard_10.pt", "shard_2.pt", "b/1.pt", ".hidden.pt", ".cache/1.pt", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.pt")
    assert [name_in(tmp_path, path) for path in files_below(tmp_path, ".pt")] == ["b/1.pt", "shard_2.pt", "shard_10.pt"]
    assert files_below(tmp_path / "note.txt", ".pt") == [tmp_path / "note.txt"]


def test_the_digest_is_that_of_paths_sizes_and_content(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    lines = "".join(
        f"{name}\0003\0{hashlib.sha256(text).hexdigest()}\n" for name, text in (("a", b"one"), ("b", b"two"))
    )
    wanted = hashlib.sha256(lines.encode()).hexdigest()
    assert digest_files(tmp_path, [tmp_path / "b", tmp_path / "a"], progress=Silent()) == wanted
    with pytest.raises(SourceError, match=r"gone: cannot be read: No such file"):
        digest_files(tmp_path, [tmp_path / "gone"], progress=Silent())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SourceError, match="JSON"):
        read_json(tmp_path / "a.json")


def test_a_document_beyond_all_bounds(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SourceError, match="of at most"):
        read_json(tmp_path / "a.json")
