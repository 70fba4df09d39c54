from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from actstore.corpus.records import read_records
from actstore.corpus.sources import expand_sources
from actstore.errors import CorpusFormatError


@pytest.fixture
def parquet_file(tmp_path: Path) -> Path:
    path = tmp_path / "named-like.fasta"
    pq.write_table(pa.table({"id": ["P1"], "sequence": ["MKV"]}), path)
    return path


def test_the_format_is_found_by_content(tmp_path: Path, parquet_file: Path) -> None:
    fasta_file = tmp_path / "named-like.parquet"
    fasta_file.write_text(">P1\nMKV\n", encoding="ascii")
    for source in expand_sources([str(fasta_file), str(parquet_file)]):
        assert [(record.id, record.sequence) for record in read_records(source)] == [("P1", "MKV")]


def test_a_format_that_is_asked_for_is_not_guessed(parquet_file: Path) -> None:
    (source,) = expand_sources([str(parquet_file)])
    with pytest.raises(CorpusFormatError, match="not a FASTA file: it begins with 'PAR1"):
        list(read_records(source, "fasta"))
