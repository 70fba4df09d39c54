"""`sequences.parquet`: the sequences of a store, a few row groups in memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.hashing import hash_text
from actstore.contracts.sequences import SequenceTable
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.write import sequences as module
from actstore.store.write.sequences import GROUP_SEQUENCES, StoredSequences, file_sha256, write_sequences

Order = NDArray[np.int64]
COUNT = 2 * GROUP_SEQUENCES + 100


class Corpus(NamedTuple):
    """Sequences by their place in the corpus, which is not that in the store."""

    texts: list[str]

    def residues(self, sequence: int) -> str:
        return self.texts[sequence]

    def sequence_id(self, sequence: int) -> str:
        return f"P{sequence}"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus(["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), size)) for size in rng.integers(1, 60, COUNT)])


@pytest.fixture(scope="module")
def order_N() -> Order:
    return np.random.default_rng(1).permutation(COUNT)


@pytest.fixture(scope="module")
def table(corpus: Corpus, order_N: Order) -> SequenceTable:
    return SequenceTable(
        np.array([hash_text(corpus.sequence_id(index)) for index in order_N], np.uint64),
        np.array([len(corpus.texts[index]) for index in order_N], np.int32),
        (np.arange(COUNT) % 3).astype(np.int8),
        ("train", "test", "valid"),
    )


@pytest.fixture(scope="module")
def file(
    corpus: Corpus,
    table: SequenceTable,
    order_N: Order,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("sequences") / "sequences.parquet"
    assert write_sequences(path, corpus, table, table.length_N // 2, order_N) == file_sha256(path)
    return path


@pytest.fixture
def objects(file: Path) -> LocalObjects:
    return LocalObjects(file.parent)


def test_sequences_come_back_in_the_order_of_the_plan(objects: LocalObjects, corpus: Corpus, order_N: Order) -> None:
    with StoredSequences(objects) as stored:
        assert len(stored) == COUNT
        for sequence, index in enumerate(order_N.tolist()):
            assert stored.residues(sequence) == corpus.residues(index)
            assert stored.sequence_id(sequence) == corpus.sequence_id(index)


@pytest.mark.parametrize("sequence", [-1, COUNT])
def test_there_are_no_other_sequences(objects: LocalObjects, sequence: int) -> None:
    with StoredSequences(objects) as stored, pytest.raises(IndexError, match=f"sequence {sequence} of {COUNT}"):
        stored.residues(sequence)


def test_the_table_of_the_plan_comes_back(objects: LocalObjects, table: SequenceTable) -> None:
    with StoredSequences(objects) as stored:
        again = stored.table(table.splits)
    assert again.id_hash_N.tolist() == table.id_hash_N.tolist()
    assert again.length_N.tolist() == table.length_N.tolist()
    assert again.split_N.tolist() == table.split_N.tolist()
    assert again.cluster_N is None
    assert [column.dtype.str for column in (again.id_hash_N, again.length_N, again.split_N)] == ["<u8", "<i4", "|i1"]


def test_splits_are_numbered_as_asked(objects: LocalObjects, table: SequenceTable) -> None:
    with StoredSequences(objects) as stored:
        again = stored.table(("valid", "train", "test"))
        assert again.split_N.tolist() == [{0: 1, 1: 2, 2: 0}[code] for code in table.split_N.tolist()]
        with pytest.raises(CorruptObjectError, match=r"has splits 'valid', not in"):
            stored.table(("train", "test"))


def test_sequences_are_counted_by_their_rows_within_a_split(objects: LocalObjects, table: SequenceTable) -> None:
    """How many have no row, one, two, and so on: as much memory as the longest has rows, however many there are."""
    rows_N = table.length_N // 2
    with StoredSequences(objects) as stored:
        assert stored.sequences_by_rows(None).tolist() == np.bincount(rows_N).tolist()
        inside = stored.sequences_by_rows("test")
        assert stored.sequences_by_rows("no such split").tolist() == [0]
    assert inside.tolist() == np.bincount(rows_N[table.split_N == 1]).tolist()
    assert inside.dtype == np.int64
    assert inside @ np.arange(len(inside)) == rows_N[table.split_N == 1].sum()


def test_counts_of_a_file_that_is_read_in_pieces_add_up(
    objects: LocalObjects, table: SequenceTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pieces with longer and with shorter sequences than those before."""
    with StoredSequences(objects) as stored:
        monkeypatch.setattr(stored, "_file", _InPieces(stored._file))
        assert stored.sequences_by_rows(None).tolist() == np.bincount(table.length_N // 2).tolist()


def test_writing_again_gives_the_same_bytes(
    corpus: Corpus,
    table: SequenceTable,
    order_N: Order,
    file: Path,
    tmp_path: Path,
) -> None:
    write_sequences(tmp_path / "again", corpus, table, table.length_N // 2, order_N)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_the_file_is_plain_parquet_in_row_groups(file: Path) -> None:
    parquet = pq.ParquetFile(file)
    assert [parquet.metadata.row_group(group).num_rows for group in range(3)] == [GROUP_SEQUENCES, GROUP_SEQUENCES, 100]
    assert parquet.schema_arrow.names == ["id", "residues", "length", "split", "rows"]


def test_clusters_come_back_with_the_table_and_have_a_column_of_their_own(
    corpus: Corpus, table: SequenceTable, order_N: Order, tmp_path: Path
) -> None:
    cluster_N = np.random.default_rng(3).integers(0, 2**64, COUNT, dtype=np.uint64)
    clustered = SequenceTable(table.id_hash_N, table.length_N, table.split_N, table.splits, cluster_N)
    path = tmp_path / "sequences.parquet"
    write_sequences(path, corpus, clustered, table.length_N // 2, order_N)
    assert pq.ParquetFile(path).schema_arrow.names == ["id", "residues", "length", "split", "rows", "cluster"]
    with StoredSequences(LocalObjects(tmp_path)) as stored:
        again = stored.table(table.splits)
        assert stored.residues(5) == corpus.residues(int(order_N[5]))
    assert again.cluster_N is not None
    np.testing.assert_array_equal(again.cluster_N, cluster_N)
    assert again.id_hash_N.tolist() == table.id_hash_N.tolist()


def test_few_row_groups_are_kept_and_each_is_read_once_while_it_is(
    objects: LocalObjects, corpus: Corpus, order_N: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GROUPS_IN_MEMORY", 2)
    with StoredSequences(objects) as stored:
        read: list[int] = []
        iter_batches = stored._file.iter_batches

        def counted(batch_size: int, row_groups: list[int], columns: list[str]) -> Iterator[pa.RecordBatch]:
            read.extend(row_groups)
            yield from iter_batches(batch_size=batch_size, row_groups=row_groups, columns=columns)

        monkeypatch.setattr(stored, "_file", _Wrapped(stored._file, counted))
        for group in (0, 1, 0, 2, 0, 1):
            sequence = group * GROUP_SEQUENCES + 7
            assert stored.residues(sequence) == corpus.residues(int(order_N[sequence]))
        assert read == [0, 1, 2, 1]


def test_threads_share_one_reader(objects: LocalObjects, corpus: Corpus, order_N: Order) -> None:
    wanted = np.random.default_rng(2).integers(0, COUNT, 3000).tolist()
    with StoredSequences(objects) as stored, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(stored.residues, wanted))
    assert found == [corpus.residues(int(order_N[sequence])) for sequence in wanted]


def test_a_store_without_sequences_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingObjectError, match=r"sequences\.parquet"):
        StoredSequences(LocalObjects(tmp_path))


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:1000], lambda data: data[:-1], lambda data: b">P1\nMKT\n" * 10],
    ids=["empty", "cut short", "last byte lost", "FASTA"],
)
def test_a_file_that_is_not_parquet_is_corrupt(file: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "sequences.parquet").write_bytes(damage(file.read_bytes()))
    with pytest.raises(CorruptObjectError, match=r"sequences\.parquet cannot be read"):
        StoredSequences(LocalObjects(tmp_path))


def test_other_columns_are_corrupt(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["P1"], "sequence": ["MKT"]}), tmp_path / "sequences.parquet")
    with pytest.raises(CorruptObjectError, match=r"sequences\.parquet has other columns than \['id', 'residues'"):
        StoredSequences(LocalObjects(tmp_path))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_flipped_bit_inside_is_found_when_it_is_read(file: Path, tmp_path: Path, share: float) -> None:
    data = bytearray(file.read_bytes())
    column = pq.ParquetFile(file).metadata.row_group(1).column(1)
    data[column.data_page_offset + int(share * column.total_compressed_size)] ^= 1
    (tmp_path / "sequences.parquet").write_bytes(data)
    with StoredSequences(LocalObjects(tmp_path)) as stored:
        assert stored.residues(0)
        with pytest.raises(CorruptObjectError, match=r"(?s)sequences\.parquet cannot be read: .*verify"):
            stored.residues(GROUP_SEQUENCES)


def test_the_residues_are_not_read_for_the_table(file: Path, tmp_path: Path) -> None:
    data = bytearray(file.read_bytes())
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\x55" * column.total_compressed_size
    (tmp_path / "sequences.parquet").write_bytes(data)
    with StoredSequences(LocalObjects(tmp_path)) as stored:
        assert len(stored.table(("train", "test", "valid"))) == COUNT


class _InPieces(NamedTuple):
    """A Parquet file of which no more than seven rows come at a time."""

    file: pq.ParquetFile

    @property
    def metadata(self) -> pq.FileMetaData:
        return self.file.metadata

    def iter_batches(self, batch_size: int, row_groups: list[int], columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self.file.iter_batches(batch_size=min(batch_size, 7), row_groups=row_groups, columns=columns)


class _Wrapped(NamedTuple):
    """A Parquet file whose reads are counted."""

    file: pq.ParquetFile
    iter_batches: Callable[..., Iterator[pa.RecordBatch]]

    @property
    def metadata(self) -> pq.FileMetaData:
        return self.file.metadata
