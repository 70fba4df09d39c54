"""Ids of sequences from a file: one a line, or those of a FASTA."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from actstore.corpus.fasta import read_fasta
from actstore.corpus.line_ends import with_newlines
from actstore.corpus.sources import Source, expand_sources, read_blocks
from actstore.errors import CorpusFormatError, UsageError

__all__ = ["listed_ids"]

_MOST_LINE_BYTES: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_WANTED: Final = "wanted the id of a sequence on each line, or a FASTA"


def listed_ids(
    sequences: str | os.PathLike[str] | Sequence[str], *, storage_options: Mapping[str, Any] | None = None
) -> list[str]:
    """Return ids of sequences, in their order, each once.

    Parameters
    ----------
    sequences
        A file with an id on each line, where blank lines and lines that begin with `#` do not count, or a FASTA, whose
        ids count; a path or URL, plain or compressed. Or the ids themselves.
    storage_options
        Passed to fsspec.

    Raises
    ------
    UsageError
        If there is no id.
    CorpusError, CorpusFormatError
        If the file cannot be read, or is neither.
    """
    if isinstance(sequences, str | os.PathLike):
        name = os.fspath(sequences)
        sources = expand_sources([name], storage_options=storage_options)
        ids = list(dict.fromkeys(found for source in sources for found in _ids(source)))
    else:
        name, ids = "sequences", list(dict.fromkeys(sequences))
    if not ids:
        raise UsageError(f"{name}: no ids of sequences; give one on each line, or a FASTA")
    return ids


def _ids(source: Source) -> Iterator[str]:
    head = next(iter(read_blocks(source)), b"")
    if head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b">"):
        yield from (record.id for record in read_fasta(source))
        return
    for line in _lines(source):
        text = line.strip()
        if text and not text.startswith("#"):
            yield text


def _lines(source: Source) -> Iterator[str]:
    number, pending = 1, b""
    for block in with_newlines(read_blocks(source)):
        *complete, pending = (pending + block).split(b"\n")
        for line in complete:
            yield _decode(line, number, source.name)
            number += 1
        if len(pending) > _MOST_LINE_BYTES:
            raise CorpusFormatError(f"{source.name}, line {number}: more than {_MOST_LINE_BYTES:,} bytes; {_WANTED}")
    yield _decode(pending, number, source.name)


def _decode(line: bytes, number: int, name: str) -> str:
    try:
        return line.removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").decode()
    except UnicodeDecodeError as error:
        raise CorpusFormatError(
            f"{name}, line {number}: not text (byte 0x{line[error.start]:02x}); {_WANTED}"
        ) from error
