"""`sequences.parquet`: id, residues, length, split, rows and cluster of every sequence, in plan order."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.hashing import hash_text
from actstore.contracts.sequences import ResidueSource, SequenceTable
from actstore.corpus.fasta import MAX_RECORD_BYTES
from actstore.corpus.pages import batch_rows
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.format.layout import SEQUENCES

__all__ = ["SequenceGroup", "StoredSequences", "file_sha256", "most_file_bytes", "write_sequences"]

GROUP_SEQUENCES: Final = 1024
_GROUPS_IN_MEMORY: Final = 64
_GROUPS_AT_ONCE: Final = 16
_MOST_RESIDUES: Final = MAX_RECORD_BYTES
_MOST_GROUP_LETTERS: Final = 1 << 28
_MOST_LETTER_BYTES: Final = 4
_GROUP_EXTRA_BYTES: Final = 1 << 20
"""Lengths, splits and rows of a group, headers, and its part of the footer."""
_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("residues", pa.string(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
    ]
)
_CLUSTERED_SCHEMA: Final = _SCHEMA.append(pa.field("cluster", pa.uint64(), nullable=False))
"""If the recipe names clusters."""


def write_sequences(
    path: Path,
    source: ResidueSource,
    table: SequenceTable,
    kept_N: NDArray[np.int32],
    order_N: NDArray[np.int64],
) -> str:
    """Write the sequences to a local Parquet file, a row group at a time; return its SHA-256.

    Parameters
    ----------
    path
        The file to write.
    source
        Residues and ids by corpus index.
    table, kept_N
        Lengths, splits, clusters and rows, in the order of the file.
    order_N
        Corpus index of each row of the file.
    """
    schema = _SCHEMA if table.cluster_N is None else _CLUSTERED_SCHEMA
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=["split"], write_page_checksum=True
    ) as writer:
        for start in range(0, len(order_N), GROUP_SEQUENCES):
            members = order_N[start : start + GROUP_SEQUENCES].tolist()
            here = slice(start, start + len(members))
            columns: dict[str, Any] = {
                "id": [source.sequence_id(index) for index in members],
                "residues": [source.residues(index) for index in members],
                "length": table.length_N[here],
                "split": [table.splits[code] for code in table.split_N[here]],
                "rows": kept_N[here],
            }
            if table.cluster_N is not None:
                columns["cluster"] = table.cluster_N[here]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=GROUP_SEQUENCES)
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a local file without reading it into memory at once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def most_file_bytes(sequences: int) -> int:
    """Return the largest possible size of a file of this number of sequences.

    Examples
    --------
    >>> most_file_bytes(1024)
    1074790400
    """
    groups = -(-sequences // GROUP_SEQUENCES)
    return groups * (_MOST_LETTER_BYTES * _MOST_GROUP_LETTERS + _GROUP_EXTRA_BYTES)


@dataclass(frozen=True, eq=False)
class SequenceGroup:
    """The sequences of one row group."""

    ids: list[str]
    residues: list[str]
    length_N: NDArray[np.int32]
    rows_N: NDArray[np.int32]
    """Rows of each sequence in the store."""

    @cached_property
    def id_hash_N(self) -> NDArray[np.uint64]:
        """`hash_text` of each id."""
        return np.fromiter(map(hash_text, self.ids), dtype=np.uint64, count=len(self.ids))


class StoredSequences:
    """The sequences of a store by index, with a few row groups in memory; a `ResidueSource`, safe for threads."""

    def __init__(self, objects: ObjectStore) -> None:
        self._uri = objects.uri
        with ExitStack() as stack:
            file = stack.enter_context(objects.open(SEQUENCES))
            self._stream = file
            with self._checked():
                self._file = stack.enter_context(pq.ParquetFile(file, page_checksum_verification=True))
                self._is_clustered = self._file.schema_arrow == _CLUSTERED_SCHEMA
                if not (self._is_clustered or self._file.schema_arrow == _SCHEMA):
                    raise CorruptObjectError(f"{self._uri}: {SEQUENCES} has other columns than {_SCHEMA.names}")
                groups = range(self._file.metadata.num_row_groups)
                sizes = [self._file.metadata.row_group(group).num_rows for group in groups]
                if set(sizes[:-1]) - {GROUP_SEQUENCES} or not 0 < (sizes or [0])[-1] <= GROUP_SEQUENCES:
                    raise CorruptObjectError(f"{self._uri}: {SEQUENCES} has row groups of other than {GROUP_SEQUENCES}")
            self._open = stack.pop_all()
        self._groups: OrderedDict[int, SequenceGroup] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, as soon as no thread reads; a thread that asks afterwards gets an error."""
        with self._lock:
            self._open.close()

    def residues(self, sequence: int) -> str:
        """Return the residues of one sequence."""
        group, place = self._find(sequence)
        return group.residues[place]

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence."""
        group, place = self._find(sequence)
        return group.ids[place]

    def group(self, number: int) -> SequenceGroup:
        """Return a row group: the `GROUP_SEQUENCES` sequences from ``number * GROUP_SEQUENCES`` on."""
        with self._lock:
            if number not in self._groups:
                self._groups[number] = self._load(number)
                if len(self._groups) > _GROUPS_IN_MEMORY:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(number)
            return self._groups[number]

    def table(self, splits: tuple[str, ...]) -> SequenceTable:
        """Read the columns that a plan needs, without the residues.

        Raises
        ------
        CorruptObjectError
            If the file is damaged or names a split that is not among `splits`.
        """
        parts = [part for part, _ in self.parts(splits)]
        return SequenceTable(
            np.concatenate([part.id_hash_N for part in parts]),
            np.concatenate([part.length_N for part in parts]),
            np.concatenate([part.split_N for part in parts]),
            splits,
            np.concatenate([part.cluster_N for part in parts]) if self._is_clustered else None,
        )

    def parts(self, splits: tuple[str, ...]) -> Iterator[tuple[SequenceTable, NDArray[np.int32]]]:
        """Yield `table` in parts, each with the rows of its sequences; raises as `table`."""
        code_of = {name: code for code, name in enumerate(splits)}
        for batch in self._batches(["id", "length", "split", "rows", *(["cluster"] if self._is_clustered else [])]):
            with self._checked():
                ids, names = batch["id"].to_pylist(), batch["split"].to_pylist()
            length_N, rows_N = batch["length"].to_numpy(), batch["rows"].to_numpy()
            self._check_counts(length_N, "lengths")
            self._check_counts(rows_N, "rows")
            if foreign := set(names) - code_of.keys():
                shown = ", ".join(repr(name[:40]) for name in sorted(foreign)[:3])
                raise CorruptObjectError(f"{self._uri}: {SEQUENCES} has splits {shown}, not in {splits}")
            hash_N = np.fromiter(map(hash_text, ids), dtype=np.uint64, count=len(ids))
            split_N = np.array([code_of[name] for name in names], dtype=np.int8)
            cluster_N = batch["cluster"].to_numpy() if self._is_clustered else None
            yield SequenceTable(hash_N, length_N, split_N, splits, cluster_N), rows_N

    def sequences_by_rows(self, split: str | None) -> NDArray[np.int64]:
        """Count the sequences of a split (None: of all) that have 0, 1, 2, ... rows: int64 [most rows + 1]."""
        counts = np.zeros(1, dtype=np.int64)
        for batch in self._batches(["split", "rows"]):
            self._check_counts(batch["rows"].to_numpy(), "rows")
            inside = True if split is None else pc.equal(batch["split"], split).to_numpy(zero_copy_only=False)
            found = np.bincount(batch["rows"].to_numpy()[inside].reshape(-1))
            longer, shorter = (found, counts) if len(found) > len(counts) else (counts, found)
            counts = longer.astype(np.int64)
            counts[: len(shorter)] += shorter
        return counts

    def check(self) -> NDArray[np.int32]:
        """Read everything once, keep nothing, and return the rows of each sequence, int32 [N].

        Raises
        ------
        CorruptObjectError
            If a sequence is not letters, or not as many as its length says.
        """
        for group in range(self._file.metadata.num_row_groups):
            with self._lock:
                self._load(group)
        counts = [batch["rows"].to_numpy() for batch in self._batches(["rows"])]
        return np.concatenate([np.empty(0, dtype=np.int32), *counts])

    def _batches(self, columns: list[str]) -> Iterator[Any]:
        with self._lock, self._checked():
            for first in range(0, self._file.metadata.num_row_groups, _GROUPS_AT_ONCE):
                groups = range(first, min(first + _GROUPS_AT_ONCE, self._file.metadata.num_row_groups))
                yield from self._read(groups, columns)

    def _read(self, groups: range, columns: list[str]) -> Iterator[Any]:
        most = len(groups) * GROUP_SEQUENCES
        rows = batch_rows(self._stream, self._file.metadata, groups, columns, most=most)
        yield from self._file.iter_batches(batch_size=rows, row_groups=list(groups), columns=columns)

    def _check_counts(self, count_N: NDArray[np.int32], what: str) -> None:
        if len(count_N) and not (count_N.min() >= 0 and count_N.max() <= _MOST_RESIDUES):
            raise CorruptObjectError(
                f"{self._uri}: {SEQUENCES} has {what} from {count_N.min():,} to {count_N.max():,}; no protein has them"
            )

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError also for text that is not UTF-8
            if self._stream.closed:
                raise UsageError(f"{self._uri}: the store was closed while a thread read it") from None
            raise CorruptObjectError(
                f"{self._uri}: {SEQUENCES} cannot be read: {printable(str(error))}; find all damage with "
                "'actstore verify'"
            ) from error

    def _find(self, sequence: int) -> tuple[SequenceGroup, int]:
        """Return the row group of a sequence, and its place there."""
        if not 0 <= sequence < len(self):
            raise IndexError(f"sequence {sequence} of {len(self)}")
        number, place = divmod(sequence, GROUP_SEQUENCES)
        return self.group(number), place

    def _load(self, number: int) -> SequenceGroup:
        """Read a row group; check that residues are letters, of the number in `length`."""
        loaded = SequenceGroup([], [], *(np.empty(0, dtype=np.int32),) * 2)
        letters = 0
        with self._checked():
            for batch in self._read(range(number, number + 1), ["id", "residues", "length", "rows"]):
                self._check_counts(batch["length"].to_numpy(), "lengths")
                self._check_counts(batch["rows"].to_numpy(), "rows")
                ids, texts = batch["id"].to_pylist(), batch["residues"].to_pylist()
                letters += sum(map(len, ids)) + sum(map(len, texts))
                if letters > _MOST_GROUP_LETTERS:
                    raise CorruptObjectError(
                        f"{self._uri}: {SEQUENCES} has more than {_MOST_GROUP_LETTERS:,} letters in row group {number}"
                    )
                for residues, length in zip(texts, batch["length"].to_pylist(), strict=True):
                    if len(residues) != length or not (residues.isascii() and residues.isalpha()):
                        raise CorruptObjectError(
                            f"{self._uri}: {SEQUENCES} has a sequence in row group {number} that is not {length} "
                            "letters; find all damage with 'actstore verify'"
                        )
                loaded = SequenceGroup(
                    loaded.ids + ids,
                    loaded.residues + texts,
                    np.concatenate([loaded.length_N, batch["length"].to_numpy()]),
                    np.concatenate([loaded.rows_N, batch["rows"].to_numpy()]),
                )
        return loaded
