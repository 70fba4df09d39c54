import gzip
from pathlib import Path

import pytest

from actstore.errors import CorpusFormatError, UsageError
from actstore.workflows.sharing.sequence_list import listed_ids


def listed(tmp_path: Path, content: bytes) -> list[str]:
    (tmp_path / "ids.txt").write_bytes(content)
    return listed_ids(tmp_path / "ids.txt")


@pytest.mark.parametrize(
    "content",
    [
        b"P1\nP2\nP3",
        b"# mine\n\nP1\r\n  P2\t\r\n#P9\nP3\nP1\n",
        b"\xef\xbb\xbfP1\nP2\nP3\n",
        b"P1\rP2\rP3\r",
        b">P1 first\nMKV\n>P2\nMK\nV\n>P3\nM\n",
        b"\n>P1\nMKV\n>P2\nMKV\n>P3\nMKV",
        gzip.compress(b"P1\nP2\nP3\n"),
    ],
    ids=["plain", "comments", "mark", "old macs", "fasta", "fasta after a blank", "compressed"],
)
def test_ids_of_a_file(content: bytes, tmp_path: Path) -> None:
    assert listed(tmp_path, content) == ["P1", "P2", "P3"]


def test_ids_may_have_blanks_inside(tmp_path: Path) -> None:
    assert listed(tmp_path, b"chain A of 1ABC\nP2\n") == ["chain A of 1ABC", "P2"]


def test_ids_themselves() -> None:
    assert listed_ids(["P2", "P1", "P2"]) == ["P2", "P1"]


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n"])
def test_an_empty_list_is_an_error(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ids\.txt: no ids of sequences; give one on each line, or a FASTA"):
        listed(tmp_path, content)
    with pytest.raises(UsageError, match="no ids of sequences"):
        listed_ids([])


def test_other_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusFormatError, match=r"ids\.txt, line 2: not text \(byte 0xff\); wanted the id"):
        listed(tmp_path, b"P1\nP\xff2\n")
    with pytest.raises(CorpusFormatError, match=r"line 1: more than 65,536 bytes"):
        listed(tmp_path, b"P" * (1 << 21))
