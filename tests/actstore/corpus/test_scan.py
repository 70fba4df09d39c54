import gzip
import hashlib
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from actstore.contracts.hashing import hash_text
from actstore.contracts.progress import Stage
from actstore.contracts.recipe import CorpusRecipe
from actstore.corpus import scan as scan_module
from actstore.corpus.scan import Corpus, scan
from actstore.errors import BadRecordError, CorpusError, CorpusFormatError

ALPHABET = frozenset("ACDEFGHIKLMNPQRSTVWYXBUZO")


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="ascii")
    return path


def scan_files(*files: Path | str, spool: Path | None = None, **options: Any) -> Corpus:
    recipe = CorpusRecipe(sequences=tuple(str(file) for file in files), **options)
    return scan(recipe, alphabet=ALPHABET, spool=spool)


def texts(corpus: Corpus) -> list[tuple[str, str]]:
    return [(corpus.sequence_id(index), corpus.residues(index)) for index in range(len(corpus))]


class Recorder:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, int | None, str]] = []
        self.amount = 0

    @contextmanager
    def stage(self, title: str, *, total: int | None, unit: str, done: int = 0) -> Iterator[Stage]:
        self.announced.append((title, total, unit))
        yield self

    def advance(self, amount: int, *, note: str = "") -> None:
        self.amount += amount


def test_natural_proteins(natural_fasta: Path, tmp_path: Path) -> None:
    with scan_files(natural_fasta, spool=tmp_path) as corpus:
        assert len(corpus) == corpus.records_read == 3526
        assert corpus.total_residues == 1_103_280
        assert corpus.length_N.max() == 34_350
        assert corpus.skipped == {}
        assert (corpus.sequence_id(0), corpus.residues(0)) == ("cath_0000", "GSLTYEEVLQELVKHKELLRRKDTHIRELEDYIDNLLVRVM")
        assert all(len(corpus.residues(index)) == length for index, length in enumerate(corpus.length_N.tolist()))


def test_columns_hold_hashes_and_lengths(tmp_path: Path) -> None:
    with scan_files(write(tmp_path / "some.fasta", ">P1\nmkv*\n>P2\nAC\n"), spool=tmp_path) as corpus:
        assert corpus.id_hash_N.tolist() == [hash_text("P1"), hash_text("P2")]
        assert corpus.length_N.tolist() == [3, 2]
        assert corpus.id_hash_N.dtype == np.uint64
        assert corpus.length_N.dtype == np.int32
        assert texts(corpus) == [("P1", "MKV"), ("P2", "AC")]


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    later = write(tmp_path / "a.fasta", ">P2\nAC\n")
    sooner = write(tmp_path / "b.fasta", ">P1\nMKV\n")
    with scan_files(sooner, later, spool=tmp_path) as corpus:
        assert texts(corpus) == [("P1", "MKV"), ("P2", "AC")]


def test_the_digest_covers_ids_and_cleaned_residues_in_order(tmp_path: Path) -> None:
    expected = hashlib.sha256(b"P1\0MKV\nP2\0AC\n").hexdigest()
    with scan_files(write(tmp_path / "some.fasta", ">P1 x\nmk\nv*\n>P2\nAC\n")) as corpus:
        assert corpus.digest == expected
    with scan_files(write(tmp_path / "swapped.fasta", ">P2\nAC\n>P1\nMKV\n")) as corpus:
        assert corpus.digest != expected


def test_the_same_sequences_in_any_container_have_the_same_digest(tmp_path: Path) -> None:
    content = ">P1\nMKV\n>P2\nAC\n"
    plain = write(tmp_path / "plain.fasta", content)
    (tmp_path / "zipped.fasta.gz").write_bytes(gzip.compress(content.encode()))
    pq.write_table(pa.table({"id": ["P1", "P2"], "sequence": ["MKV", "AC"]}), tmp_path / "table.parquet")
    halves = [write(tmp_path / "half-1.fasta", ">P1\nMKV\n"), write(tmp_path / "half-2.fasta", ">P2\nAC\n")]
    memory = fsspec.filesystem("memory")
    memory.pipe("/scan-test/plain.fasta", content.encode())
    digests = set()
    for files in (
        [plain],
        [tmp_path / "zipped.fasta.gz"],
        [tmp_path / "table.parquet"],
        halves,
        [str(tmp_path / "half-*.fasta")],
        ["memory://scan-test/plain.fasta"],
    ):
        with scan_files(*files) as corpus:
            digests.add(corpus.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("batch_records", [1, 2, 3])
def test_where_batches_end_does_not_matter(
    natural_fasta: Path, monkeypatch: pytest.MonkeyPatch, batch_records: int
) -> None:
    with scan_files(natural_fasta) as corpus:
        expected = corpus.digest
    monkeypatch.setattr(scan_module, "_BATCH_RECORDS", batch_records)
    with scan_files(natural_fasta) as corpus:
        assert corpus.digest == expected


BAD_RECORDS = {
    "empty": (">P2\n", "the sequence of 'P2' is empty"),
    "foreign letters": (">P2\nMJV\n", "the sequence of 'P2' has letters outside .*: 'J' at residue 2"),
    "no id": (">\nMKV\n", "the record has no id"),
    "duplicate id": (">P1\nMKV\n", r"the id 'P1' is a duplicate: it was used before, by .*record 1 \(line 1\)"),
}


@pytest.mark.parametrize("reason", BAD_RECORDS)
def test_a_bad_record_stops_with_its_place_and_the_ways_out(tmp_path: Path, reason: str) -> None:
    record, detail = BAD_RECORDS[reason]
    path = write(tmp_path / "some.fasta", f">P1\nMKV\n{record}>P3\nAC\n")
    message = rf'some\.fasta, record 2 \(line 3\): {detail}.*; correct the file, or set on_bad_record = "skip"'
    with pytest.raises(BadRecordError, match=message):
        scan_files(path, spool=tmp_path)


@pytest.mark.parametrize("reason", BAD_RECORDS)
def test_a_bad_record_is_skipped_and_counted_if_the_recipe_says_so(tmp_path: Path, reason: str) -> None:
    path = write(tmp_path / "some.fasta", f">P1\nAC\n{BAD_RECORDS[reason][0]}>P3\nAC\n")
    with scan_files(path, spool=tmp_path, on_bad_record="skip") as corpus:
        assert texts(corpus) == [("P1", "AC"), ("P3", "AC")]
        assert corpus.records_read == 3
        assert corpus.skipped == {reason: 1}


@pytest.mark.parametrize("batch_records", [1, 2, 4096])
def test_duplicates_are_found_across_batches_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_records: int
) -> None:
    monkeypatch.setattr(scan_module, "_BATCH_RECORDS", batch_records)
    first = write(tmp_path / "first.fasta", ">P1\nA\n>P2\nC\n>P3\nD\n")
    second = write(tmp_path / "second.fasta", ">P4\nE\n>P2\nF\n>P2\nG\n")
    with pytest.raises(
        BadRecordError, match=r"second\.fasta, record 2 \(line 3\): .*first\.fasta, record 2 \(line 3\)"
    ):
        scan_files(first, second)
    with scan_files(first, second, spool=tmp_path, on_bad_record="skip") as corpus:
        assert texts(corpus) == [("P1", "A"), ("P2", "C"), ("P3", "D"), ("P4", "E")]
        assert corpus.skipped == {"duplicate id": 2}


def test_different_ids_of_one_hash_are_not_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "hash_text", len)
    monkeypatch.setattr(scan_module, "_BATCH_RECORDS", 1)
    path = write(tmp_path / "some.fasta", ">P1\nA\n>P2\nC\n>P3\nD\n>P2\nE\n")
    with scan_files(path, spool=tmp_path, on_bad_record="skip") as corpus:
        assert texts(corpus) == [("P1", "A"), ("P2", "C"), ("P3", "D")]
        assert corpus.skipped == {"duplicate id": 1}


def test_nulls_of_a_parquet_file_are_bad_records(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"id": ["P1", "P2", None], "sequence": ["MKV", None, "AC"]}), path)
    with pytest.raises(BadRecordError, match=r"some\.parquet, record 2: the sequence of 'P2' is empty"):
        scan_files(path)
    with scan_files(path, on_bad_record="skip") as corpus:
        assert corpus.skipped == {"empty": 1, "no id": 1}


def test_length_bounds_leave_out_and_count(tmp_path: Path) -> None:
    path = write(tmp_path / "some.fasta", ">P1\nA\n>P2\nAC\n>P3\nACD\n>P4\nACDE\n")
    with scan_files(path, spool=tmp_path, min_residues=2, max_residues=3) as corpus:
        assert texts(corpus) == [("P2", "AC"), ("P3", "ACD")]
        assert corpus.skipped == {"too long": 1, "too short": 1}


@pytest.mark.parametrize(
    ("long_sequences", "kept", "skipped"),
    [
        ("window", [("P1", "ACDE"), ("P2", "ACDEFG")], {}),
        ("truncate", [("P1", "ACDE"), ("P2", "ACDE")], {}),
        ("skip", [("P1", "ACDE")], {"too long": 1}),
    ],
)
def test_long_sequences(
    tmp_path: Path, long_sequences: str, kept: list[tuple[str, str]], skipped: dict[str, int]
) -> None:
    path = write(tmp_path / "some.fasta", ">P1\nACDE\n>P2\nACDEFG\n")
    options = {"long_sequences": long_sequences, "window_residues": 4, "window_overlap": 1}
    with scan_files(path, spool=tmp_path, **options) as corpus:
        assert texts(corpus) == kept
        assert corpus.length_N.tolist() == [len(residues) for _, residues in kept]
        assert corpus.digest == hashlib.sha256("".join(f"{i}\0{s}\n" for i, s in kept).encode()).hexdigest()
        assert corpus.skipped == skipped


def test_a_stricter_upper_bound_wins_over_the_window(tmp_path: Path) -> None:
    path = write(tmp_path / "some.fasta", ">P1\nAC\n>P2\nACD\n")
    options = {"long_sequences": "skip", "window_residues": 4, "window_overlap": 1, "max_residues": 2}
    with scan_files(path, spool=None, **options) as corpus:
        assert corpus.length_N.tolist() == [2]


def test_a_truncated_file_stops_even_where_bad_records_are_skipped(natural_fasta: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.fasta.gz"
    path.write_bytes(natural_fasta.read_bytes()[:300_000])
    with pytest.raises(CorpusFormatError, match=r"cut\.fasta\.gz: .* truncated .* the last good record is \d+ \('"):
        scan_files(path, on_bad_record="skip")


def test_no_sequence_left_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    path = write(tmp_path / "some.fasta", ">P1\nA\n>P2\n\n")
    with pytest.raises(CorpusError, match=r"no sequence is left of 2 records \(1 empty, 1 too short\)"):
        scan_files(path, min_residues=5, on_bad_record="skip")


def test_without_a_spool_there_are_lengths_and_ids_but_no_residues(tmp_path: Path) -> None:
    with scan_files(write(tmp_path / "some.fasta", ">P1\nMKV\n")) as corpus:
        assert corpus.length_N.tolist() == [3]
        assert corpus.sequence_id(0) == "P1"
        with pytest.raises(CorpusError, match="scanned for lengths only; call scan with a spool directory"):
            corpus.residues(0)


def test_lengths_outlive_the_spool_and_nothing_is_left_behind(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with scan_files(write(tmp_path / "some.fasta", ">P1\nMKV\n"), spool=spool) as corpus:
        pass
    assert corpus.length_N.tolist() == [3]
    assert list(spool.iterdir()) == []


def test_progress_counts_the_sequences_kept(tmp_path: Path) -> None:
    recorder = Recorder()
    path = write(tmp_path / "some.fasta", ">P1\nMKV\n>P1\nMKV\n>P2\nMKV\n")
    recipe = CorpusRecipe(sequences=(str(path),), on_bad_record="skip")
    scan(recipe, alphabet=ALPHABET, spool=None, progress=recorder).close()
    assert recorder.announced == [("reading sequences", None, "sequences")]
    assert recorder.amount == 2


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for records in (5_000, 20_000):
        path = tmp_path / f"{records}.fasta"
        body = "ACDEFGHIKLMNPQRSTVWY" * 120 + "\n"
        path.write_text("".join(f">P{number}\n{body}" for number in range(records)), encoding="ascii")
        tracemalloc.start()
        try:
            with scan_files(path, spool=tmp_path) as corpus:
                assert corpus.total_residues == 2400 * records
                peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    text_bytes = 20_000 * 2400
    assert peaks[1] < text_bytes / 3
    assert peaks[1] - peaks[0] < text_bytes / 20
