import gzip
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.sequences import RawRecord
from actstore.corpus import fasta
from actstore.corpus.fasta import read_fasta
from actstore.corpus.sources import expand_sources
from actstore.errors import CorpusFormatError

ODD = Path(__file__).parents[2] / "data" / "odd"


def read(path: Path) -> list[RawRecord]:
    (source,) = expand_sources([str(path)])
    return list(read_fasta(source))


def read_text(tmp_path: Path, content: bytes) -> list[tuple[str, str, int, int | None]]:
    path = tmp_path / "some.fasta"
    path.write_bytes(content)
    return [(record.id, record.sequence, record.number, record.line) for record in read(path)]


def test_a_record_has_id_letters_number_and_line(tmp_path: Path) -> None:
    content = b">P1 first protein OS=Homo sapiens\nMKV\nLA\n>P2\nACD\n"
    assert read_text(tmp_path, content) == [("P1", "MKVLA", 1, 1), ("P2", "ACD", 2, 4)]


def test_the_place_names_file_record_and_line(tmp_path: Path) -> None:
    path = tmp_path / "some.fasta"
    path.write_bytes(b">P1\nMKV\n>P2\nACD\n")
    assert read(path)[1].place == f"{path}, record 2 (line 3)"


@pytest.mark.parametrize(
    ("content", "records"),
    [
        pytest.param(b">P1\r\nMK\r\nV\r\n>P2\r\nA\r\n", [("P1", "MKV", 1, 1), ("P2", "A", 2, 4)], id="CRLF"),
        pytest.param(b">P1 a\rMK\rV\r\r>P2\rA\r", [("P1", "MKV", 1, 1), ("P2", "A", 2, 5)], id="old Mac"),
        pytest.param(b"\r>P1\rMKV", [("P1", "MKV", 1, 2)], id="old Mac, blank line"),
        pytest.param(b"\n\n>P1\n\nMK\n\nV\n\n>P2\nA", [("P1", "MKV", 1, 3), ("P2", "A", 2, 9)], id="blank lines"),
        pytest.param(b"\xef\xbb\xbf>P1\nMKV\n", [("P1", "MKV", 1, 1)], id="byte order mark"),
        pytest.param(b">P1\nMKV", [("P1", "MKV", 1, 1)], id="no line end at the end"),
        pytest.param(b">\nMKV\n>  \nA\n", [("", "MKV", 1, 1), ("", "A", 2, 3)], id="header without an id"),
        pytest.param(b">P1\n>P2\nA\n", [("P1", "", 1, 1), ("P2", "A", 2, 2)], id="record without residues"),
        pytest.param(b">P1 a -> b\nMKV\n", [("P1", "MKV", 1, 1)], id="sign within a header"),
        pytest.param(b">P1 caf\xe9\nMKV\n", [("P1", "MKV", 1, 1)], id="description in another encoding"),
        pytest.param(">Prot\u00e9in\nMKV\n".encode(), [("Prot\u00e9in", "MKV", 1, 1)], id="id in UTF-8"),
        pytest.param(b">P1\nmk v*\n", [("P1", "mk v*", 1, 1)], id="letters are left as they are"),
    ],
)
def test_what_files_in_the_wild_look_like(
    tmp_path: Path, content: bytes, records: list[tuple[str, str, int, int | None]]
) -> None:
    assert read_text(tmp_path, content) == records


def test_a_file_with_old_line_ends_has_the_same_records_as_with_new_ones(tmp_path: Path) -> None:
    old = (ODD / "cr.fasta").read_bytes()
    found = read_text(tmp_path, old)
    assert len(found) == 20
    assert found == read_text(tmp_path, old.replace(b"\r", b"\n"))


@given(
    bodies=st.lists(st.lists(st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=9), max_size=4), min_size=1),
    block_bytes=st.integers(1, 40),
)
def test_where_blocks_end_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[list[str]], block_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("blocks") / "some.fasta"
    lines = [(f">P{number} x", *body) for number, body in enumerate(bodies, start=1)]
    path.write_text("\n".join(line for record in lines for line in record) + "\n", encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actstore.corpus.sources.BLOCK_BYTES", block_bytes)
        found = [(record.id, record.sequence, record.line) for record in read(path)]
    starts = [1 + sum(len(record) for record in lines[:index]) for index in range(len(lines))]
    assert found == [
        (f"P{number}", "".join(body), start)
        for number, (body, start) in enumerate(zip(bodies, starts, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"id,sequence\nP1,MKV\n", r"some\.fasta, line 1: not a FASTA file.*'id,sequence", id="CSV"),
        pytest.param(b"\n\nMKV\n>P1\n", r"line 3: not a FASTA file: it begins with 'MKV", id="residues first"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0", r"line 1: not a FASTA file: it begins with '\\x89PNG", id="image"),
        pytest.param(
            ">P1\nMKV\n".encode("utf-16"),
            r"line 1: not a FASTA file: it begins with '\\xff\\xfe>.*UTF-16: save it in ASCII",
            id="UTF-16",
        ),
        pytest.param(b"PK\x03\x04\x14\0", "zip archive: unpack it", id="zip"),
        pytest.param(b"\n<!DOCTYPE html>\n", "a web page or XML: check the address", id="web page"),
        pytest.param(b"n5.fasta".ljust(257, b"\0") + b"ustar\0", "a tar archive: unpack it", id="tar"),
        pytest.param(b"@read\nACGT\n+\nIIII\n", "FASTQ", id="FASTQ"),
        pytest.param(
            b">P1\nMKV\n>P2 b\rMKV\r>P3\rMKV\r", r"record 2, line 3: a carriage return within", id="mixed line ends"
        ),
        pytest.param(b"", r"some\.fasta: the file is empty", id="empty file"),
        pytest.param(b"\n \n", r"some\.fasta: the file is empty", id="blank file"),
        pytest.param(b">P1\nMKV\nMK\xff\xfeV\n", r"record 1, line 3: byte 0xff .* is not text", id="binary residues"),
        pytest.param(b">P1\nM\n>\xff\xfe\nMKV\n", r"record 2, line 3: byte 0xff .* is not text", id="binary id"),
    ],
)
def test_what_is_not_fasta_is_an_error_that_shows_where(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=message):
        read_text(tmp_path, content)


def test_truncated_gzip_names_the_last_good_record(tmp_path: Path) -> None:
    letters = random.Random(0)
    lines = [f">P{number}\n{''.join(letters.choices('ACDEFGHIKL', k=50))}\n" for number in range(1, 501)]
    compressed = gzip.compress("".join(lines).encode())
    path = tmp_path / "cut.fasta.gz"
    path.write_bytes(compressed[: len(compressed) // 2])
    (source,) = expand_sources([str(path)])
    records: list[RawRecord] = []
    with pytest.raises(CorpusFormatError) as raised:
        records.extend(read_fasta(source))
    count = len(records)
    assert 100 < count < 400
    assert "cut.fasta.gz: the gzip stream is truncated" in str(raised.value)
    assert "fetch the file again" in str(raised.value)
    assert f"the last good record is {count} ('P{count}', lines {2 * count - 1} to {2 * count})" in str(raised.value)


def test_gzip_truncated_before_the_first_record_ends(tmp_path: Path) -> None:
    path = tmp_path / "cut.fasta.gz"
    path.write_bytes(gzip.compress(b">P1\nMKV\n")[:-8])
    with pytest.raises(CorpusFormatError, match="no record before that is complete"):
        read(path)


def test_a_record_without_end_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "endless.fasta.gz"
    path.write_bytes(gzip.compress(b">P1\nMKV\n>P2\n") + 400 * gzip.compress(b"A" * (1 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(
            CorpusFormatError, match=r"endless\.fasta\.gz, record 2 \(line 3\): more than 16,777,216 by"
        ):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * fasta.MAX_RECORD_BYTES
    finally:
        tracemalloc.stop()


def test_the_longest_natural_proteins_are_read(natural_fasta: Path) -> None:
    records = read(natural_fasta)
    assert len(records) == 3526
    assert sum(len(record.sequence) for record in records) == 1_103_280
    assert max(len(record.sequence) for record in records) == 34_350
