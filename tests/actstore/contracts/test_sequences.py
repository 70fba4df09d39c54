"""Where a record is, in words."""

from actstore.contracts.sequences import RawRecord


def test_a_place_names_file_record_and_line() -> None:
    assert RawRecord("P1", "MKT", "a.fasta", 3, 17).place == "a.fasta, record 3 (line 17)"
    assert RawRecord("P1", "MKT", "a.parquet", 3, None).place == "a.parquet, record 3"
