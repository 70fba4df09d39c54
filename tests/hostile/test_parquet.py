"""Parquet files of strangers: pages that decode to terabytes, and columns of other things than they should hold."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actstore.access.open import LocalObjects
from actstore.corpus.pages import BATCH_BYTES, batch_rows
from actstore.corpus.parquet import read_parquet
from actstore.corpus.sources import expand_sources
from actstore.errors import CorpusFormatError, CorruptObjectError
from actstore.store.write.sequences import StoredSequences
from tests.hostile.bounded import run_bounded
from tests.hostile.mutations import MORE, damaged_bytes

StoreOf = Callable[..., Path]

SPLITS = ("train", "valid", "test")
READ_SEQUENCES = (
    "from actstore.store.write.sequences import StoredSequences\nfrom actstore.access.open import LocalObjects"
)
READ_CORPUS = "from actstore.corpus.parquet import read_parquet\nfrom actstore.corpus.sources import expand_sources"


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """Write columns, as little checked as pyarrow writes them."""
    schema = pa.schema([pa.field(name, array.type, nullable=False) for name, array in columns.items()])
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    pq.write_table(table, path, compression="zstd", store_schema=False, write_page_checksum=True, **options)
    return path


def columns_of(count: int, **changes: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "id": pa.array([f"P{number}" for number in range(count)], pa.string()),
        "residues": pa.array(["MKV"] * count, pa.string()),
        "length": pa.array([3] * count, pa.int32()),
        "split": pa.array(["train"] * count, pa.string()),
        "rows": pa.array([1] * count, pa.int32()),
    }
    return columns | changes


def repeated(text: str, count: int) -> pa.DictionaryArray:
    """One text and many references to it."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([text]))


def read_all(path: Path) -> None:
    with StoredSequences(LocalObjects(path.parent)) as stored:
        stored.table(SPLITS)
        stored.sequences_by_rows(None)
        for sequence in range(0, len(stored), 97):
            stored.residues(sequence)
            stored.sequence_id(sequence)


@pytest.mark.parametrize("more", [{}, {"cluster": pa.array(range(2100), pa.uint64())}], ids=["plain", "clustered"])
def test_a_store_as_we_write_it_is_read(more: dict[str, Any], tmp_path: Path) -> None:
    read_all(write(tmp_path / "sequences.parquet", columns_of(2100, **more), row_group_size=1024))


@pytest.mark.parametrize(
    ("columns", "group", "message"),
    [
        (columns_of(5000), 5000, "row groups of other than 1024"),
        (columns_of(100), 10, "row groups of other than 1024"),
        (columns_of(0), 10, "row groups of other than 1024"),
        (columns_of(3, residues=pa.array([1, 2, 3])), 1024, "other columns"),
        (columns_of(3, length=pa.array([3, 3, 3], pa.int64())), 1024, "other columns"),
        (columns_of(3, more=pa.array([1, 2, 3])), 1024, "other columns"),
        (columns_of(3, cluster=pa.array([1, 2, 3], pa.int64())), 1024, "other columns"),
        (columns_of(3, length=pa.array([3, -3, 3], pa.int32())), 1024, "lengths from -3 to 3"),
        (columns_of(3, length=pa.array([3, 2**31 - 1, 3], pa.int32())), 1024, "lengths from 3 to 2,147,483,647"),
        (columns_of(3, rows=pa.array([3, -3, 3], pa.int32())), 1024, "rows from -3 to 3"),
        (columns_of(3, rows=pa.array([3, 2**31 - 1, 3], pa.int32())), 1024, "rows from 3 to 2,147,483,647"),
        (columns_of(3, length=pa.array([4, 3, 3], pa.int32())), 1024, "is not 4 letters"),
        (columns_of(3, residues=pa.array(["M\x1bV"] * 3)), 1024, "is not 3 letters"),
        (columns_of(3, residues=pa.array(["MéV"] * 3)), 1024, "is not 3 letters"),
        (columns_of(3, split=pa.array(["\x1b[2J" * 100] * 3)), 1024, r"has splits '\\x1b\[2J"),
    ],
    ids=range(15),
)
def test_sequences_of_a_store_that_cannot_be_are_refused(
    columns: dict[str, Any], group: int, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "sequences.parquet", columns, row_group_size=group)
    with pytest.raises(CorruptObjectError, match=message) as caught:
        read_all(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_texts_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    data = pa.array([b"\xff\xfeV"] * 3, pa.binary()).view(pa.string())
    path = write(tmp_path / "sequences.parquet", columns_of(3, id=data))
    with pytest.raises(CorruptObjectError, match="cannot be read"):
        read_all(path)
    corpus = write(tmp_path / "c.parquet", {"id": data, "sequence": pa.array(["MKV"] * 3)})
    with pytest.raises(CorpusFormatError, match="not a readable Parquet file"):
        list(read_parquet(expand_sources([str(corpus)])[0]))


def test_one_text_that_is_repeated_is_not_decoded_a_thousand_times(tmp_path: Path) -> None:
    """Three kilobytes that pyarrow decodes to four gigabytes."""
    columns = columns_of(1024, residues=repeated("A" * (1 << 22), 1024))
    path = write(tmp_path / "sequences.parquet", columns, row_group_size=1024)
    assert path.stat().st_size < 100_000
    outcome = run_bounded(
        READ_SEQUENCES,
        "with StoredSequences(LocalObjects(argument.parent)) as stored:\n    stored.residues(5)",
        path,
        memory_bytes=4 << 30,
    )
    assert outcome.error == "CorruptObjectError"
    assert "that is not 3 letters" in outcome.message
    assert outcome.grown_bytes < 600 << 20


def test_many_letters_that_are_as_many_as_they_say_are_refused_in_time(tmp_path: Path) -> None:
    most = 1 << 24
    columns = columns_of(90, residues=repeated("A" * most, 90), length=pa.array([most] * 90, pa.int32()))
    path = write(tmp_path / "sequences.parquet", columns, row_group_size=1024)
    outcome = run_bounded(
        READ_SEQUENCES,
        "with StoredSequences(LocalObjects(argument.parent)) as stored:\n    stored.residues(5)",
        path,
        memory_bytes=4 << 30,
    )
    assert outcome.error == "CorruptObjectError"
    assert "more than 268,435,456 letters in row group 0" in outcome.message
    assert outcome.grown_bytes < 900 << 20


def test_a_page_of_gigabytes_is_refused_before_it_is_decompressed(tmp_path: Path) -> None:
    columns = columns_of(2, residues=pa.array(["A" * (160 << 20), "M"]))
    path = write(tmp_path / "sequences.parquet", columns, use_dictionary=False)
    outcome = run_bounded(
        READ_SEQUENCES,
        "with StoredSequences(LocalObjects(argument.parent)) as stored:\n    stored.residues(1)",
        path,
        memory_bytes=2 << 30,
    )
    assert outcome.error == "CorruptObjectError"
    assert "a page of 167,7" in outcome.message
    assert outcome.grown_bytes < 64 << 20


def test_a_corpus_of_one_text_that_is_repeated_stays_within_bounds(tmp_path: Path) -> None:
    columns = {"id": pa.array([f"P{number}" for number in range(90)]), "sequence": repeated("A" * (12 << 20), 90)}
    path = write(tmp_path / "corpus.parquet", columns)
    assert path.stat().st_size < 100_000
    outcome = run_bounded(
        READ_CORPUS,
        "for record in read_parquet(expand_sources([str(argument)])[0]):\n    assert record.number",
        path,
        memory_bytes=3 << 30,
    )
    assert outcome.error is None  # long, and within what one protein may have
    assert outcome.grown_bytes < 600 << 20


@pytest.mark.parametrize(
    ("names", "message"),
    [(["id", "id", "sequence"], "two columns have one name"), (["id"], "no column `sequence`")],
)
def test_a_corpus_with_other_columns_is_refused(names: list[str], message: str, tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"])] * len(names), names=names)
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(CorpusFormatError, match=message):
        list(read_parquet(expand_sources([str(tmp_path / "c.parquet")])[0]))


def test_a_record_longer_than_any_protein_is_refused(tmp_path: Path) -> None:
    columns = {"id": pa.array(["a", "b"]), "sequence": pa.array(["MKV", "A" * (17 << 20)])}
    path = write(tmp_path / "c.parquet", columns)
    with pytest.raises(CorpusFormatError, match=r"row 2: more than 16,777,216 letters"):
        list(read_parquet(expand_sources([str(path)])[0]))


@pytest.mark.parametrize(
    "options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"data_page_size": 64}]
)
def test_the_sizes_of_pages_are_those_of_the_file(options: dict[str, Any], tmp_path: Path) -> None:
    texts = [f"{number:06d}" * (1 + number % 7) for number in range(3000)]
    pq.write_table(pa.table({"id": texts}), tmp_path / "x.parquet", compression="gzip", row_group_size=1500, **options)
    with (tmp_path / "x.parquet").open("rb") as file:
        parquet = pq.ParquetFile(file)
        column = parquet.metadata.row_group(0).column(0)
        rows = batch_rows(file, parquet.metadata, [0, 1], ["id"], most=1 << 40)
    # Pages and their headers add up to the column, so the largest is at most that.
    assert BATCH_BYTES // column.total_uncompressed_size <= rows <= BATCH_BYTES // 64


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    columns = columns_of(40)
    return write(tmp_path_factory.mktemp("sound") / "x.parquet", columns).read_bytes()


@given(data=st.data())
@settings(max_examples=120 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_sequences_or_are_refused(sound: bytes, tmp_path: Path, data: st.DataObject) -> None:
    changed = data.draw(damaged_bytes(sound))
    (tmp_path / "sequences.parquet").write_bytes(changed)
    try:
        read_all(tmp_path / "sequences.parquet")
    except CorruptObjectError as error:
        message = str(error)
    else:
        message = ""
    assert message.isprintable()


@given(data=st.data())
@settings(max_examples=80 * MORE, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_corpus_or_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "sequence": ["MKV", "VKM"]}), buffer)
    (tmp_path / "c.parquet").write_bytes(data.draw(damaged_bytes(buffer.getvalue())))
    try:
        list(read_parquet(expand_sources([str(tmp_path / "c.parquet")])[0]))
    except CorpusFormatError as error:
        message = str(error)
    else:
        message = ""
    assert message.isprintable()
