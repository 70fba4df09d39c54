"""The proteins of several stores as those of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.browse.proteins import Proteins
from actstore.store.browse.sequence_index import SequenceRows
from actstore.store.format.layout import SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import MergedObjects, Source
from actstore.store.write.members import TaskTable

__all__ = ["AllProteins", "FindsProteins", "proteins_of", "sequence_table"]


class FindsProteins(Protocol):
    """The questions that `Proteins` answers."""

    def find(self, sequence: str | int) -> tuple[int, str, str]:
        """Return number, id and residues of a protein, given its id or its number."""
        ...

    def rows(self, number: int) -> SequenceRows:
        """Return the rows of a protein."""
        ...

    def letters(self, sequence_N: NDArray[np.int64], position_N: NDArray[np.int32]) -> tuple[list[str], str]:
        """Return the id of each sequence, and the residue at each position."""
        ...

    def ids(self, sequence_N: NDArray[np.int64]) -> list[str]:
        """Return the id of each sequence, given its number."""
        ...

    def close(self) -> None:
        """Close files, and forget what was read."""
        ...


def proteins_of(objects: Source, manifest: Manifest, *, progress: Progress) -> FindsProteins:
    """Return the proteins of a store or a merge; nothing is read yet."""
    if not isinstance(objects, MergedObjects):
        return Proteins(objects, manifest.frozen, progress=progress)
    members = [
        Proteins(one, member.frozen, progress=progress)
        for one, member in zip(objects.members, manifest.members, strict=True)
    ]
    return AllProteins(members, manifest.frozen.table, task_rows=manifest.frozen.layout.task_rows)


def sequence_table(objects: Source) -> pa.Table:
    """Read the proteins of a store or a merge into memory.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        If they are lost or damaged.
    """
    if isinstance(objects, MergedObjects):
        tables = [sequence_table(one) for one in objects.members]
        return pa.concat_tables(tables, promote_options="default")  # not every store has clusters
    with objects.open(SEQUENCES) as file:
        try:
            return pq.read_table(file, page_checksum_verification=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise CorruptObjectError(
                f"{objects.uri}: {SEQUENCES} cannot be read: {printable(str(error))}; find all damage with "
                "'actstore verify'"
            ) from error


class AllProteins:
    """Asks the store that has a protein, and translates its numbers.

    Parameters
    ----------
    members
        The proteins of each store.
    table
        Numbers of tasks and sequences.
    task_rows
        Rows of a full task.
    """

    def __init__(self, members: Sequence[Proteins], table: TaskTable, *, task_rows: int) -> None:
        self._members, self._table, self._task_rows = members, table, task_rows

    def find(self, sequence: str | int) -> tuple[int, str, str]:
        """Return number, id and residues of a protein, given its id or its number; raises as `Proteins.find`."""
        if not isinstance(sequence, str):
            member, local = self._local(sequence)
            _, name, protein = self._members[member].find(local)
            return int(sequence), name, protein
        for member, proteins in enumerate(self._members):
            try:
                number, name, protein = proteins.find(sequence)
            except UsageError:
                if member + 1 == len(self._members):
                    raise
            else:
                return number + int(self._table.first_sequence_M[member]), name, protein
        raise AssertionError("a merge has stores")

    def rows(self, number: int) -> SequenceRows:
        """Return the rows of a protein that belong to the merge."""
        member, local = self._local(number)
        found = self._members[member].rows(local)
        task_N, place_N = np.divmod(found.row_N, self._task_rows)
        common_N = self._table.common(member, task_N)
        here = common_N >= 0
        return SequenceRows(common_N[here] * self._task_rows + place_N[here], found.position_N[here])

    def letters(self, sequence_N: NDArray[np.int64], position_N: NDArray[np.int32]) -> tuple[list[str], str]:
        """Return the id of each sequence, and the residue at each position; raises as `Proteins.letters`."""
        ids, letters = np.empty(len(sequence_N), dtype=object), np.empty(len(sequence_N), dtype="<U1")
        for member, here, local_N in self._by_member(sequence_N):
            names, residues = self._members[member].letters(local_N, position_N[here])
            ids[here], letters[here] = names, list(residues)
        return ids.tolist(), "".join(letters)

    def ids(self, sequence_N: NDArray[np.int64]) -> list[str]:
        """Return the id of each sequence, given its number; raises as `Proteins.ids`."""
        ids = np.empty(len(sequence_N), dtype=object)
        for member, here, local_N in self._by_member(sequence_N):
            ids[here] = self._members[member].ids(local_N)
        return ids.tolist()

    def close(self) -> None:
        """Close files, and forget what was read."""
        for proteins in self._members:
            proteins.close()

    def _local(self, number: int) -> tuple[int, int]:
        """Return the store of a sequence, and its number there."""
        if not 0 <= number < int(self._table.sequences_M.sum()):
            total = int(self._table.sequences_M.sum())
            raise UsageError(f"no sequence {number:,}; there are {total:,}, counted from 0")
        member = int(np.searchsorted(self._table.first_sequence_M, number, side="right")) - 1
        return member, number - int(self._table.first_sequence_M[member])

    def _by_member(self, sequence_N: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Return for each store the places that ask for its sequences, and their numbers there."""
        member_N = np.maximum(np.searchsorted(self._table.first_sequence_M, sequence_N, side="right") - 1, 0)
        found = []
        for member in np.unique(member_N).tolist():
            here = np.flatnonzero(member_N == member)
            found.append((member, here, sequence_N[here] - self._table.first_sequence_M[member]))
        return found
