"""Parquet with columns `id` and `sequence` -> raw records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import pyarrow as pa
from pyarrow import parquet as pq

from actstore.access.printable import printable
from actstore.contracts.sequences import RawRecord
from actstore.corpus.fasta import MAX_RECORD_BYTES
from actstore.corpus.pages import batch_rows
from actstore.corpus.sources import Source
from actstore.errors import CorpusFormatError

__all__ = ["PARQUET_MAGIC", "read_parquet"]

PARQUET_MAGIC: Final = b"PAR1"

_COLUMNS: Final = ("id", "sequence")
_BATCH_ROWS: Final = 4096


def read_parquet(source: Source) -> Iterator[RawRecord]:
    """Yield the rows of a Parquet file, one row group after the other, at most a few thousand rows in memory at a time.

    Other columns are not read. A null id or sequence becomes an empty one, which cleaning reports.

    Raises
    ------
    CorpusError
        If the file cannot be opened.
    CorpusFormatError
        If the file is not Parquet, is damaged, or lacks the two text columns.
    """
    number = 0
    with source.open() as stream:
        try:
            file = pq.ParquetFile(stream)
            _check_columns(file.schema_arrow, source.name)
            for record_id, sequence in _rows(file, stream):
                number += 1
                if len(record_id) + len(sequence) > MAX_RECORD_BYTES:
                    raise CorpusFormatError(
                        f"{source.name}, row {number}: more than {MAX_RECORD_BYTES:,} letters; no protein is that long"
                    )
                yield RawRecord(record_id, sequence, source.name, number, None)
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError also for text that is not UTF-8
            reason = printable((str(error).splitlines() or [type(error).__name__])[0])
            raise CorpusFormatError(
                f"{source.name}: not a readable Parquet file after row {number}: {reason}; fetch or write it again"
            ) from error


def _rows(file: Any, stream: BinaryIO) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - pyarrow has no type information
    columns = list(_COLUMNS)
    for group in range(file.metadata.num_row_groups):
        rows = batch_rows(stream, file.metadata, [group], columns, most=_BATCH_ROWS)
        for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=columns):
            ids, sequences = (batch.column(name).to_pylist() for name in columns)
            for record_id, sequence in zip(ids, sequences, strict=True):
                yield record_id or "", sequence or ""


def _check_columns(schema: Any, name: str) -> None:  # noqa: ANN401 - pyarrow has no type information
    found = {field.name: field.type for field in schema}
    if len(found) != len(schema):
        raise CorpusFormatError(f"{name}: two columns have one name; wanted one `id` and one `sequence`")
    for column in _COLUMNS:
        if column not in found:
            raise CorpusFormatError(
                f"{name}: there is no column `{column}`; found {printable(str(sorted(found)))}, wanted `id` and "
                "`sequence`"
            )
        if not _is_text(found[column]):
            raise CorpusFormatError(
                f"{name}: column `{column}` holds {printable(str(found[column]), most=80)}; wanted strings"
            )


def _is_text(kind: Any) -> bool:  # noqa: ANN401
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
