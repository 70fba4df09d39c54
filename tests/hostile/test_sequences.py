"""Sequence files of strangers: what decompresses without end, and records that never do."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actstore.contracts.hashing import hash_text
from actstore.corpus.clean import Fault, clean_record
from actstore.corpus.fasta import read_fasta
from actstore.corpus.sources import expand_sources
from actstore.corpus.splits import read_clusters
from actstore.errors import CorpusError, CorpusFormatError
from tests.hostile.bounded import run_bounded
from tests.hostile.mutations import MORE, damaged_bytes

ALPHABET = frozenset("ACDEFGHIKLMNPQRSTVWY")
READ = "from actstore.corpus.fasta import read_fasta\nfrom actstore.corpus.sources import expand_sources"


def bomb(path: Path, parts: Iterator[bytes]) -> Path:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(b"".join([packer.compress(part) for part in parts]) + packer.flush())
    return path


def repeated(first: bytes, block: bytes, times: int) -> Iterator[bytes]:
    yield first
    for _ in range(times):
        yield block


@pytest.mark.parametrize(
    ("first", "block", "message"),
    [
        (b">a\n", b"A" * (1 << 20), "more than 16,777,216 bytes without a new record"),
        (b">", b"A" * (1 << 20), "more than 16,777,216 bytes without a new record"),
        (b">a\n", b"\n" * (1 << 20), "more than 16,777,216 bytes without a new record"),
        (b"", b"\n" * (1 << 20), "begins with more than 16,777,216 bytes of blanks"),
        (b"", b" " * (1 << 20), "begins with more than 16,777,216 bytes of blanks"),
    ],
    ids=["one sequence", "one header", "blank lines", "blank lines first", "blanks first"],
)
def test_a_gzip_bomb_is_given_up_after_as_much_as_one_record_may_have(
    first: bytes, block: bytes, message: str, tmp_path: Path
) -> None:
    path = bomb(tmp_path / "bomb.fasta.gz", repeated(first, block, 256))
    assert path.stat().st_size < 1 << 20
    outcome = run_bounded(READ, "list(read_fasta(expand_sources([str(argument)])[0]))", path, memory_bytes=2 << 30)
    assert outcome.error == "CorpusFormatError"
    assert message in outcome.message
    assert outcome.grown_bytes < 160 << 20


def test_many_empty_members_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "members.fasta.gz"
    path.write_bytes(gzip.compress(b"") * 20_000 + gzip.compress(b">a\nMKV\n"))
    assert [record.sequence for record in read_fasta(expand_sources([str(path)])[0])] == ["MKV"]


def test_a_line_of_a_cluster_table_has_an_end(tmp_path: Path) -> None:
    path = bomb(tmp_path / "clusters.tsv.gz", repeated(b"", b"A" * (1 << 20), 64))
    with pytest.raises(CorpusFormatError, match="a line of more than 1,048,576 bytes"):
        read_clusters(str(path), np.array([1], dtype=np.uint64), sequence_id=str)


@given(data=st.data())
@settings(max_examples=80 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_records_or_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    plain = b">P1 a protein\nMKVLA\nMKV\n>P2\nAAAA\n>P3\n\n"
    source = data.draw(st.sampled_from([plain, gzip.compress(plain, mtime=0)]))
    path = tmp_path / "x.fasta"
    path.write_bytes(data.draw(damaged_bytes(source)))
    message = ""
    try:
        for record in read_fasta(expand_sources([str(path)])[0]):
            hash_text(record.id)
            cleaned = clean_record(record, ALPHABET)
            assert set(cleaned) <= ALPHABET if not isinstance(cleaned, Fault) else cleaned.detail.isprintable()
    except CorpusFormatError as error:
        message = str(error)
    assert message.isprintable()


@given(data=st.data())
@settings(max_examples=60 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_clusters_or_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(data.draw(damaged_bytes(b"P1\tP1\nP1\tP2\nP3\tP3\n")))
    ids = ["P1", "P2", "P3"]
    hashes = np.array([hash_text(name) for name in ids], dtype=np.uint64)
    message = ""
    try:
        assert read_clusters(str(path), hashes, sequence_id=ids.__getitem__).shape == (3,)
    except CorpusError as error:
        message = str(error)
    assert message.isprintable()
