"""Sequences shared by several rooms: one record while reading, columns after reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import UInt64s

__all__ = ["RawRecord", "ResidueSource", "SequenceCollection", "SequenceTable", "Window"]


class RawRecord(NamedTuple):
    """One record as a file holds it, before any cleaning."""

    id: str
    sequence: str
    source: str
    """Path or URL of the file."""
    number: int
    """1-based position of the record in its file."""
    line: int | None
    """1-based line where the record starts; None if the format has no lines."""

    @property
    def place(self) -> str:
        """Where the record is, for error messages."""
        where = f"{self.source}, record {self.number}"
        return where if self.line is None else f"{where} (line {self.line})"


class Window(NamedTuple):
    """A run of residues that the model sees, and the part of it whose rows are kept. 0-based, half open."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTable:
    """Facts of N sequences that a plan needs, without their text."""

    id_hash_N: UInt64s
    """`hash_text` of each id."""
    length_N: NDArray[np.int32]
    """Residues, after any truncation."""
    split_N: NDArray[np.int8]
    """Index into `splits`."""
    splits: tuple[str, ...]
    cluster_N: UInt64s | None = None
    """`hash_text` of the representative's id of each sequence's cluster; None if the recipe names no clusters."""

    def __len__(self) -> int:
        return len(self.length_N)

    def take(self, order_N: NDArray[np.int64]) -> SequenceTable:
        """Return the sequences selected by an index array."""
        cluster_N = None if self.cluster_N is None else self.cluster_N[order_N]
        return SequenceTable(
            self.id_hash_N[order_N], self.length_N[order_N], self.split_N[order_N], self.splits, cluster_N
        )


class ResidueSource(Protocol):
    """Random access to the residues of a corpus by sequence index."""

    def residues(self, sequence: int) -> str:
        """Return the upper-case residues of one sequence."""
        ...

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence."""
        ...


class SequenceCollection(ResidueSource, Protocol):
    """All sequences that a store is made of, with what a plan needs of them: a `corpus.Corpus`, or an import."""

    @property
    def id_hash_N(self) -> UInt64s:
        """`hash_text` of each id."""
        ...

    @property
    def length_N(self) -> NDArray[np.int32]:
        """Residues of each sequence."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over ``id + NUL + residues + LF`` of each sequence in order, in UTF-8."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """Sequences that were left out, by reason."""
        ...

    @property
    def recorded_sequences(self) -> tuple[str, ...]:
        """The places that a store records for them."""
        ...

    @property
    def total_residues(self) -> int:
        """Residues of all sequences together."""
        ...

    def __len__(self) -> int:
        """Return the number of sequences."""
        ...
