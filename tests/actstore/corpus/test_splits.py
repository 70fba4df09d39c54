import gzip
import lzma
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.hashing import UInt64s, hash_text
from actstore.contracts.recipe import CorpusRecipe
from actstore.corpus.scan import scan
from actstore.corpus.splits import assign_splits, read_clusters
from actstore.errors import CorpusError, CorpusFormatError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
FRACTIONS = {"train": 0.9, "valid": 0.05, "test": 0.05}


def hashes(ids: list[str]) -> UInt64s:
    return np.array([hash_text(each) for each in ids], dtype=np.uint64)


def clusters_of(path: Path, ids: list[str]) -> list[int]:
    cluster_hash_N = read_clusters(str(path), hashes(ids), sequence_id=ids.__getitem__)
    return [int(each) for each in cluster_hash_N]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "clusters.tsv"


def test_splits_have_the_sizes_that_were_asked_for() -> None:
    split_N = assign_splits(np.arange(100_000, dtype=np.uint64), FRACTIONS, seed=0)
    assert split_N.dtype == np.int8
    assert np.bincount(split_N) / 100_000 == pytest.approx([0.9, 0.05, 0.05], abs=0.003)


def test_another_seed_splits_independently() -> None:
    hash_N = np.arange(100_000, dtype=np.uint64)
    halves = {"a": 0.5, "b": 0.5}
    first_N, second_N = (assign_splits(hash_N, halves, seed=seed) for seed in (0, 1))
    assert (first_N == second_N).mean() == pytest.approx(0.5, abs=0.01)


@given(st.lists(NAMES, unique=True, min_size=1), st.integers(0, 2**32), st.data())
def test_a_sequence_stays_in_its_split_whatever_else_is_there(ids: list[str], seed: int, data: st.DataObject) -> None:
    others = data.draw(st.permutations([*ids, "another", "and another"]))
    alone = dict(zip(ids, assign_splits(hashes(ids), FRACTIONS, seed=seed).tolist(), strict=True))
    together = dict(zip(others, assign_splits(hashes(others), FRACTIONS, seed=seed).tolist(), strict=True))
    assert {each: together[each] for each in ids} == alone


def test_the_split_of_an_id_never_changes() -> None:
    ids = ["P62258", "Q9Y6K9", "P04637", "A0A024R1R8", "cath_0000", "UniRef50_Q8WZ42"]
    assert assign_splits(hashes(ids), {"a": 0.4, "b": 0.3, "c": 0.3}, seed=7).tolist() == [2, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("fractions", "used"),
    [
        ({"train": 1.0}, {0}),
        ({"train": 1.0, "test": 0.0}, {0}),
        ({"none": 0.0, "train": 0.7, "valid": 0.2, "test": 0.1, "last": 0.0}, {1, 2, 3}),
    ],
)
def test_a_split_of_fraction_zero_stays_empty(fractions: dict[str, float], used: set[int]) -> None:
    split_N = assign_splits(np.arange(100_000, dtype=np.uint64), fractions, seed=0)
    assert set(split_N.tolist()) == used


def test_the_cluster_is_the_hash_of_its_representative(table: Path) -> None:
    table.write_text("P1\tP1\nP1\tP2\nP9\tP3\n", encoding="ascii")
    assert clusters_of(table, ["P3", "P2", "P1"]) == [hash_text("P9"), hash_text("P1"), hash_text("P1")]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"P1\tP1\r\nP1\tP2\r\n", id="CRLF"),
        pytest.param(b"P1\tP1\nP1\tP2", id="no line end at the end"),
        pytest.param(gzip.compress(b"P1\tP1\nP1\tP2\n"), id="gzip"),
        pytest.param(b"X1\tX1\nP1\tP1\nX1\tX2\nP1\tP2\n", id="members of no interest"),
        pytest.param(b"P1\tP1\nP1\tP1\nP1\tP2\n", id="a line twice"),
    ],
)
def test_tables_in_the_wild(table: Path, content: bytes) -> None:
    table.write_bytes(content)
    assert clusters_of(table, ["P1", "P2"]) == [hash_text("P1")] * 2


def test_old_line_ends_and_any_compression_are_read(table: Path) -> None:
    table.write_bytes(lzma.compress(b"P1\tP1\rP1\tP2\r"))
    assert clusters_of(table, ["P1", "P2"]) == [hash_text("P1")] * 2


def test_where_blocks_end_does_not_matter(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"P{number}" for number in range(50)]
    table.write_text("".join(f"P{number // 7 * 7}\t{each}\n" for number, each in enumerate(ids)), encoding="ascii")
    expected = clusters_of(table, ids)
    monkeypatch.setattr("actstore.corpus.sources.BLOCK_BYTES", 5)
    assert clusters_of(table, ids) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"P1\tP1\nP1 P2\n", r"clusters\.tsv, line 2: found 'P1 P2'; wanted repr", id="space"),
        pytest.param(b"P1\tP1\tP2\n", r"line 1: found 'P1\\tP1\\tP2'", id="three fields"),
        pytest.param(b"P1\tP1\n\nP1\tP2\n", r"line 2: found ''", id="blank line"),
        pytest.param(b"P1\t\n", r"line 1: found 'P1\\t'", id="no member"),
        pytest.param(b"\tP1\n", r"line 1: found '\\tP1'", id="no representative"),
        pytest.param(b"P1\t\xff\xfe\n", r"clusters\.tsv: not text \(byte 0xff\)", id="binary"),
        pytest.param(b"P" * (2 << 20), r"clusters\.tsv: a line of more than 1,048,576 bytes", id="endless line"),
        pytest.param(gzip.compress(b"P1\tP1\n")[:-4], r"clusters\.tsv: the gzip stream is truncated", id="truncated"),
        pytest.param(b"P1\tP1\nP1\tP2\nP3\tP2\n", r"line 3: 'P2' is in a second cluster", id="two clusters"),
    ],
)
def test_what_is_not_a_cluster_table_is_an_error(table: Path, content: bytes, message: str) -> None:
    table.write_bytes(content)
    with pytest.raises(CorpusFormatError, match=message):
        clusters_of(table, ["P1", "P2"])


def test_a_second_cluster_is_found_far_from_the_first(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_text("P1\tP1\nX1\tX1\nP3\tP1\n", encoding="ascii")
    monkeypatch.setattr("actstore.corpus.sources.BLOCK_BYTES", 6)
    with pytest.raises(CorpusFormatError, match="line 3: 'P1' is in a second cluster"):
        clusters_of(table, ["P1"])


def test_sequences_without_a_cluster_are_named_and_counted(table: Path) -> None:
    table.write_text("P1\tP1\n", encoding="ascii")
    with pytest.raises(CorpusError, match=r"clusters\.tsv: 2 of 3 sequences are in no cluster, such as 'P2'; cluster"):
        clusters_of(table, ["P1", "P2", "P3"])


def test_ids_that_mmseqs_shortens_are_explained(table: Path) -> None:
    table.write_text("P62258\tP62258\n", encoding="ascii")
    with pytest.raises(CorpusError, match=r"such as 'sp\|P62258\|1433E_HUMAN'; .* MMseqs2 shortens ids"):
        clusters_of(table, ["sp|P62258|1433E_HUMAN"])


def test_homologs_stay_together(shared_data: Path, tmp_path: Path, table: Path) -> None:
    recipe = CorpusRecipe(sequences=(str(shared_data / "proteins" / "homologs.fasta.gz"),))
    with scan(recipe, alphabet=frozenset("ACDEFGHIKLMNPQRSTVWYXBUZO"), spool=None) as corpus:
        families = [corpus.sequence_id(index).split("|")[0] for index in range(len(corpus))]
        members = [f"{family}|0\t{corpus.sequence_id(index)}\n" for index, family in enumerate(families)]
        table.write_text("".join(members), encoding="ascii")
        cluster_hash_N = read_clusters(str(table), corpus.id_hash_N, sequence_id=corpus.sequence_id)
        thirds = {"a": 0.4, "b": 0.3, "c": 0.3}
        apart_N = assign_splits(corpus.id_hash_N, thirds, seed=0)
        together_N = assign_splits(corpus.id_hash_N, thirds, seed=0, cluster_hash_N=cluster_hash_N)
    splits: dict[str, set[int]] = defaultdict(set)
    for family, split in zip(families, together_N.tolist(), strict=True):
        splits[family].add(split)
    assert len(splits) > 3
    assert all(len(found) == 1 for found in splits.values())
    assert len({split for found in splits.values() for split in found}) > 1
    assert len({(family, split) for family, split in zip(families, apart_N.tolist(), strict=True)}) == 3 * len(splits)
