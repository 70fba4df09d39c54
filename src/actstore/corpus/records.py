"""Chooses the reader for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from actstore.contracts.sequences import RawRecord
from actstore.corpus.fasta import read_fasta
from actstore.corpus.parquet import PARQUET_MAGIC, read_parquet
from actstore.corpus.sources import Source

__all__ = ["READERS", "read_records"]

READERS: Final[dict[str, Callable[[Source], Iterator[RawRecord]]]] = {
    "fasta": read_fasta,
    "parquet": read_parquet,
}


def read_records(source: Source, file_format: Literal["auto", "fasta", "parquet"] = "auto") -> Iterator[RawRecord]:
    """Yield the records of one file; `auto` uses Parquet if the file begins like Parquet, and FASTA otherwise.

    Raises
    ------
    CorpusError
        If the file cannot be opened.
    CorpusFormatError
        If the file is not of that format or is damaged.
    """
    if file_format == "auto":
        is_parquet = source.first_bytes(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        return READERS["parquet" if is_parquet else "fasta"](source)
    return READERS[file_format](source)
