from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from actstore.contracts.sequences import RawRecord
from actstore.corpus.parquet import read_parquet
from actstore.corpus.sources import expand_sources
from actstore.errors import CorpusError, CorpusFormatError


def read(path: Path) -> list[RawRecord]:
    (source,) = expand_sources([str(path)])
    return list(read_parquet(source))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_rows_come_in_order_over_row_groups(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "some.parquet"
    ids = pa.array(["P1", "P2", "P3"]).cast(kind)
    sequences = pa.array(["MKV", "acd", "GG*"]).cast(kind)
    pq.write_table(pa.table({"length": [3, 3, 3], "sequence": sequences, "id": ids}), path, row_group_size=2)
    assert read(path) == [
        RawRecord("P1", "MKV", str(path), 1, None),
        RawRecord("P2", "acd", str(path), 2, None),
        RawRecord("P3", "GG*", str(path), 3, None),
    ]


def test_columns_of_views_are_read(tmp_path: Path) -> None:
    """Polars writes them."""
    found = read(Path(__file__).parents[2] / "data" / "odd" / "view.parquet")
    assert [record.id for record in found] == [f"cath_{index:04}" for index in range(20)]
    assert found[0].sequence == "GSLTYEEVLQELVKHKELLRRKDTHIRELEDYIDNLLVRVM"


def test_a_row_has_a_place_without_a_line(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"id": ["P1"], "sequence": ["MKV"]}), path)
    assert read(path)[0].place == f"{path}, record 1"


def test_nulls_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"id": ["P1", None], "sequence": [None, "MKV"]}), path)
    assert [(record.id, record.sequence) for record in read(path)] == [("P1", ""), ("", "MKV")]


def test_a_missing_column_is_an_error_that_lists_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"accession": ["P1"], "sequence": ["MKV"]}), path)
    with pytest.raises(CorpusFormatError, match=r"no column `id`; found \['accession', 'sequence'\]"):
        read(path)


def test_a_column_of_another_type_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"id": [1, 2], "sequence": ["MKV", "A"]}), path)
    with pytest.raises(CorpusFormatError, match="column `id` holds int64; wanted strings"):
        read(path)


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"id": ["P1"] * 1000, "sequence": ["MKV"] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorpusFormatError, match=r"cut\.parquet: not a readable Parquet file"):
        read(path)


def test_a_file_damaged_inside_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    ids = [f"P{number}" for number in range(20_000)]
    pq.write_table(pa.table({"id": ids, "sequence": ["MKV"] * 20_000}), path, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[60:200] = bytes(140)
    path.write_bytes(content)
    with pytest.raises(CorpusFormatError, match=r"damaged\.parquet: not a readable Parquet file"):
        read(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"absent\.parquet: there is no such file"):
        read(tmp_path / "absent.parquet")
