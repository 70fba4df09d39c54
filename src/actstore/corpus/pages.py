"""Page sizes of a Parquet file, to limit the rows that are decoded at once to those that fit into memory.

The sizes in the footer may be wrong. Readers use the header of each page, and so does this module. With a dictionary,
or a prefix shared with the previous value, a page of a few bytes can decode to terabytes. But no value is longer than
its page, so rows times the largest page is an upper bound for the decoded bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, BinaryIO, Final

__all__ = ["BATCH_BYTES", "MOST_PAGE_BYTES", "batch_rows"]

MOST_PAGE_BYTES: Final = 1 << 27
"""Most writers begin a new page after 1 MB; a few only with a new row group, after about 10 MB."""
BATCH_BYTES: Final = 1 << 26
"""Limit for the bytes decoded at once, except for a single row."""
_HEADER_BYTES: Final = 1 << 13
_LONGEST_HEADER_BYTES: Final = 1 << 20
_UNCOMPRESSED_SIZE: Final = 2
_COMPRESSED_SIZE: Final = 3
_DEEPEST: Final = 8

_BOOLEANS: Final = frozenset({1, 2})
_BYTE: Final = 3
_INTEGERS: Final = frozenset({4, 5, 6})
_DOUBLE: Final = 7
_BINARY: Final = 8
_LISTS: Final = frozenset({9, 10})
_STRUCT: Final = 12


def batch_rows(
    file: BinaryIO,
    metadata: Any,  # noqa: ANN401 - pyarrow has no type information
    groups: Iterable[int],
    columns: Collection[str],
    *,
    most: int,
) -> int:
    """Return how many rows of some row groups can be decoded at once.

    Parameters
    ----------
    file
        The Parquet file.
    metadata
        Its footer, of pyarrow.
    groups
        Which row groups.
    columns
        Flat columns to read.
    most
        Most rows at once.

    Raises
    ------
    ValueError
        If pages are not at the places in the footer, or a page has more than `MOST_PAGE_BYTES`.
    """
    largest = 1
    for group in map(metadata.row_group, groups):
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in columns:
                largest = max(largest, *_page_bytes(file, column), 1)
    if largest > MOST_PAGE_BYTES:
        raise ValueError(f"a page of {largest:,} bytes, more than {MOST_PAGE_BYTES:,}")
    return max(min(most, BATCH_BYTES // largest), 1)


def _page_bytes(file: BinaryIO, column: Any) -> Iterator[int]:  # noqa: ANN401 - pyarrow has no type information
    """Yield the bytes of each page of a column of a row group when it is not compressed."""
    at = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    yield 0
    while at < end:
        for size in (_HEADER_BYTES, _LONGEST_HEADER_BYTES):
            file.seek(at)
            head = file.read(min(size, end - at))
            try:
                fields = _Struct(head)
                break
            except IndexError:
                continue
        else:
            raise ValueError(f"no page at byte {at:,}")
        stored, plain = fields.integers.get(_COMPRESSED_SIZE, -1), fields.integers.get(_UNCOMPRESSED_SIZE, -1)
        if stored < 0 or plain < 0:
            raise ValueError(f"a page without sizes at byte {at:,}")
        yield max(stored, plain)
        at += fields.length + stored


class _Struct:
    """A structure in Thrift's compact protocol: its whole numbers by field, and how many bytes it took.

    Raises
    ------
    IndexError
        If it does not end within the bytes.
    ValueError
        If it is none.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = 0
        self.integers: dict[int, int] = {}
        self._read_struct(self.integers, 0)

    def _read_struct(self, integers: dict[int, int] | None, depth: int) -> None:
        field = 0
        while (head := self._byte()) != 0:
            kind, step = head & 15, head >> 4
            field = field + step if step else self._zigzag()
            value = None if kind in _BOOLEANS else self._read(kind, depth)
            if integers is not None and value is not None:
                integers[field] = value

    def _read(self, kind: int, depth: int) -> int | None:
        if depth > _DEEPEST:
            raise ValueError("a page header that is nested too deeply")
        if kind in _INTEGERS:
            return self._zigzag()
        if kind == _STRUCT:
            self._read_struct(None, depth + 1)
        elif kind in _LISTS:
            head = self._byte()
            count = head >> 4 if head >> 4 != 15 else self._varint()
            for _ in range(count):
                self._read(_BYTE if head & 15 in _BOOLEANS else head & 15, depth + 1)
        elif kind in {_BYTE, _DOUBLE, _BINARY}:
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._varint())
        else:
            raise ValueError("not a page header")
        return None

    def _skip(self, count: int) -> None:
        self.length += count
        if self.length > len(self._data):
            raise IndexError(count)

    def _byte(self) -> int:
        byte = self._data[self.length]
        self.length += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("not a page header")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
