"""How many rows of a Parquet file are decoded at once follows from its largest page."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actstore.corpus import pages as module
from actstore.corpus.pages import batch_rows


def rows_of(path: Path, columns: list[str], *, most: int = 1 << 40) -> int:
    with path.open("rb") as file:
        metadata = pq.ParquetFile(file).metadata
        return batch_rows(file, metadata, range(metadata.num_row_groups), columns, most=most)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pa.table({"a": ["x" * 1000] * 5 + ["y" * 50_000], "b": [1] * 6})
    pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False, compression="zstd", row_group_size=3)
    return tmp_path / "x.parquet"


def test_a_large_page_leaves_room_for_few_rows(path: Path) -> None:
    assert rows_of(path, ["a"]) == module.BATCH_BYTES // (2 * 1004 + 50_004)
    assert rows_of(path, ["a"], most=7) == 7
    assert rows_of(path, ["b"]) > 1000 * rows_of(path, ["a"])
    assert rows_of(path, [], most=9) == 9


def test_a_single_row_is_always_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 10)
    assert rows_of(path, ["a"]) == 1


def test_a_page_beyond_the_limit_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAGE_BYTES", 50_000)
    with pytest.raises(ValueError, match="a page of 52,018 bytes, more than 50,000"):
        rows_of(path, ["a"])


def test_a_header_longer_than_usual_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = rows_of(path, ["a"])
    monkeypatch.setattr(module, "_HEADER_BYTES", 3)
    assert rows_of(path, ["a"]) == usual


@pytest.mark.parametrize("damage", [b"\x00", b"\xff" * 40, b"\x1c" * 40, b"\x19\xf8" + b"\xff" * 20, b"\x15\x01\x00"])
def test_what_is_no_page_is_refused(path: Path, damage: bytes) -> None:
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset
    data[start : start + len(damage)] = damage
    path.write_bytes(data)
    with pytest.raises(ValueError, match="page"):
        rows_of(path, ["a"])


@pytest.mark.parametrize(
    "options", [{"data_page_version": "2.0"}, {"use_dictionary": True}, {"write_statistics": False}]
)
def test_pages_of_every_kind_are_walked_to_the_end(options: dict[str, Any], tmp_path: Path) -> None:
    texts = [f"{number:09d}" * 10 for number in range(4000)]
    pq.write_table(pa.table({"a": texts}), tmp_path / "x.parquet", data_page_size=1000, row_group_size=1000, **options)
    assert module.BATCH_BYTES // (4000 * 94) <= rows_of(tmp_path / "x.parquet", ["a"]) <= module.BATCH_BYTES // 1000
