"""FASTA -> raw records, in memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actstore.contracts.sequences import RawRecord
from actstore.corpus.line_ends import with_newlines
from actstore.corpus.sources import Source, read_blocks
from actstore.errors import CorpusFormatError

__all__ = ["MAX_RECORD_BYTES", "read_fasta"]

MAX_RECORD_BYTES: Final = 16 << 20  # header, residues and line ends; the longest known protein has 45,000 residues

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OTHER_FILES: Final = (
    (b"PK\x03\x04", "a zip archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x1f\x9d", "a file of `compress`: unpack it"),
    (b"\x04\x22\x4d\x18", "a file of lz4: unpack it"),
    (b"\xff\xfe", "text in UTF-16: save it in ASCII or UTF-8"),
    (b"\xfe\xff", "text in UTF-16: save it in ASCII or UTF-8"),
    (b"<", "a web page or XML: check the address that it was downloaded from"),
    (b"{", "JSON"),
    (b"LOCUS", "GenBank: convert it to FASTA"),
    (b"ID   ", "a flat file of UniProt or EMBL: convert it to FASTA"),
    (b"@", "FASTQ, or another format of reads"),
)
"""First bytes of files that are taken for FASTA, and what to do."""
_TAR: Final = (257, b"ustar")


def read_fasta(source: Source) -> Iterator[RawRecord]:
    """Yield the records of a FASTA file, plain or compressed, in the order of the file.

    The id is the first word of the header and may be empty. Sequences may span lines; line ends of any kind and
    blank lines are dropped, letters are left as they are.

    Raises
    ------
    CorpusError
        If the file cannot be opened.
    CorpusFormatError
        If the file does not begin with `>`, holds bytes that are not text, mixes line ends so that a header does
        not end, has a record of more than `MAX_RECORD_BYTES`, or cannot be read to its end; with the file and line, or
        the last good record.
    """
    number, line, blank_bytes = 0, 1, 0
    last = RawRecord("", "", source.name, 0, None)
    pending = b""
    blocks = with_newlines(read_blocks(source))
    while True:
        try:
            block = next(blocks, None)
        except CorpusFormatError as error:
            raise CorpusFormatError(f"{error}; {_last_good(last, line)}") from error
        if block is None:
            break
        pending += block
        if number == 0:
            pending, blank_lines = _skip_to_first_header(pending, source.name, line)
            line += blank_lines
            blank_bytes += len(block)
            if not pending and blank_bytes <= MAX_RECORD_BYTES:
                continue
            if not pending:
                raise CorpusFormatError(
                    f"{source.name}: begins with more than {MAX_RECORD_BYTES:,} bytes of blanks; wanted FASTA records "
                    "that begin with '>'"
                )
            pending = pending[1:]
            number = 1
        *complete, pending = pending.split(b"\n>")
        for text in complete:
            last = _parse(text, source.name, number, line)
            yield last
            number += 1
            line += text.count(b"\n") + 1
        if len(pending) > MAX_RECORD_BYTES:
            raise CorpusFormatError(
                f"{source.name}, record {number} (line {line}): more than {MAX_RECORD_BYTES:,} bytes without a new "
                "record; no protein is that long, so this is not a FASTA file of proteins"
            )
    if number == 0:
        raise CorpusFormatError(f"{source.name}: the file is empty; wanted FASTA records that begin with '>'")
    yield _parse(pending, source.name, number, line)


def _skip_to_first_header(text: bytes, name: str, line: int) -> tuple[bytes, int]:
    """Return the text from the first `>` on (nothing if all is blank so far) and the number of lines skipped."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    stripped = text.lstrip(b" \t\r\n")
    blank_lines = text.count(b"\n", 0, len(text) - len(stripped))
    if stripped and not stripped.startswith(b">"):
        raise CorpusFormatError(
            f"{name}, line {line + blank_lines}: not a FASTA file: it begins with {_show(stripped[:40])}"
            f"{_what_else(text)}; wanted '>' and an id (plain, or compressed with gzip, bzip2, xz or zstd), or a "
            "Parquet file with columns `id` and `sequence`"
        )
    return stripped, blank_lines


def _what_else(text: bytes) -> str:
    """Return what a file is that is not FASTA, for a message; nothing if that is not known."""
    at, mark = _TAR
    if text[at : at + len(mark)] == mark:
        return ", which is a tar archive: unpack it"
    found = next((what for begins, what in _OTHER_FILES if text.lstrip(b" \t\r\n").startswith(begins)), None)
    return f", which is {found}" if found else ""


def _parse(text: bytes, name: str, number: int, line: int) -> RawRecord:
    header, _, body = text.partition(b"\n")
    if b"\r" in header.rstrip(b"\r"):
        raise CorpusFormatError(
            f"{name}, record {number}, line {line}: a carriage return within the header {_show(header[:60])}; the file "
            r"mixes line ends. Write it again with one kind: tr '\r' '\n' < FILE"
        )
    words = header.split(None, 1)
    try:
        record_id = words[0].decode() if words else ""
    except UnicodeDecodeError as error:
        raise _not_text(name, number, line, words[0], error.start) from error
    residues = body.translate(None, b"\r\n")
    try:
        return RawRecord(record_id, residues.decode("ascii"), name, number, line)
    except UnicodeDecodeError:
        start = next(index for index, byte in enumerate(body) if byte > 127)
        raise _not_text(name, number, line + 1 + body.count(b"\n", 0, start), body, start) from None


def _not_text(name: str, number: int, line: int, content: bytes, start: int) -> CorpusFormatError:
    return CorpusFormatError(
        f"{name}, record {number}, line {line}: byte 0x{content[start]:02x} in {_show(content[start : start + 20])} "
        "is not text; wanted FASTA in ASCII, plain or compressed"
    )


def _show(content: bytes) -> str:
    return repr(content)[1:]


def _last_good(last: RawRecord, line: int) -> str:
    if last.number == 0:
        return "no record before that is complete"
    return f"the last good record is {last.number} ({last.id!r}, lines {last.line} to {line - 1})"
