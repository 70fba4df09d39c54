"""Which residues become rows, in which order, in which shard: known before the first forward pass.

A *unit* is one window of one sequence. Units of a split are permuted globally, their kept residues laid end to end,
and the run is cut into tasks of equal size; a unit on a cut belongs to both tasks. Inside a task rows are permuted
again. Everything follows from lengths, hashed ids and the rules.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, UInt64s, derive_key, draws, permutation
from actstore.contracts.rules import RowRules
from actstore.contracts.sequences import SequenceTable
from actstore.contracts.tasks import Piece, Task
from actstore.corpus.windows import cut_windows, window_counts
from actstore.errors import CorpusError
from actstore.extract.residues import kept_counts, kept_positions

__all__ = ["Plan", "SplitPlan", "plan_tasks", "sequence_order", "unit_keys", "window_rows"]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One split: a run of whole tasks."""

    name: str
    sequences: int
    rows: int
    first_task: int
    tasks: int


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """Windows that hold kept residues, in plan order."""

    sequence_U: NDArray[np.int64]
    window_U: NDArray[np.int32]
    rows_U: NDArray[np.int32]
    split_U: NDArray[np.int8]

    def take(self, order_U: NDArray[np.int64]) -> _Units:
        """Return the units selected by an index array."""
        return _Units(self.sequence_U[order_U], self.window_U[order_U], self.rows_U[order_U], self.split_U[order_U])


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All tasks of a store; each is computed on demand."""

    rules: RowRules
    table: SequenceTable
    splits: tuple[SplitPlan, ...]
    kept_N: NDArray[np.int32]
    """Rows of each sequence."""
    units: _Units
    end_U: NDArray[np.int64]
    """Rows of the split up to and including each unit."""
    first_unit_S: NDArray[np.int64]
    """First unit of each split, and the number of units at the end."""

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits)

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return sum(split.tasks for split in self.splits)

    @property
    def array_rows(self) -> int:
        """Length of axis 0 of the row arrays: task t begins at row ``t * task_rows``; holes included."""
        return (self.tasks - 1) * self.task_rows + self.rows_of(self.tasks - 1)

    @property
    def task_rows(self) -> int:
        """Rows of a full task."""
        return self.rules.task_rows

    def split_of(self, task: int) -> int:
        """Return the index in `splits` of a task's split."""
        for index, split in enumerate(self.splits):
            if split.first_task <= task < split.first_task + split.tasks:
                return index
        raise IndexError(f"task {task} of {self.tasks}")

    def rows_of(self, task: int) -> int:
        """Return the rows of a task: `task_rows`, or fewer for the last task of a split."""
        split = self.splits[self.split_of(task)]
        return min(self.task_rows, split.rows - (task - split.first_task) * self.task_rows)

    def task(self, index: int) -> Task:
        """Compute one task."""
        split_index = self.split_of(index)
        split = self.splits[split_index]
        rows = self.rows_of(index)
        first_row = (index - split.first_task) * self.task_rows
        units = slice(int(self.first_unit_S[split_index]), int(self.first_unit_S[split_index + 1]))
        end_U = self.end_U[units]
        first = int(np.searchsorted(end_U, first_row, side="right"))
        last = int(np.searchsorted(end_U, first_row + rows, side="left"))
        pieces = tuple(
            self._piece(units.start + unit, int(end_U[unit]), first_row, first_row + rows)
            for unit in range(first, last + 1)
        )
        order_N = permutation(derive_key(self.rules.seed, Purpose.ROW_ORDER, index), rows)
        return Task(index, split.name, rows, pieces, order_N)

    def digest(self) -> str:
        """Return a SHA-256 of everything that decides which residue is which row, and in which window it is seen."""
        windows = (self.rules.window_residues, self.rules.window_overlap)
        digest = hashlib.sha256(repr((self.splits, self.task_rows, self.rules.seed, windows)).encode())
        arrays: tuple[NDArray[np.generic], ...] = (
            self.table.id_hash_N,
            self.table.length_N,
            self.table.split_N,
            self.kept_N,
            self.units.sequence_U,
            self.units.window_U,
            self.units.rows_U,
        )
        for array in arrays:
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def _piece(self, unit: int, end_row: int, first_row: int, stop_row: int) -> Piece:
        sequence = int(self.units.sequence_U[unit])
        length = int(self.table.length_N[sequence])
        rules = self.rules
        windows = cut_windows(length, window=rules.window_residues, overlap=rules.window_overlap)
        window = windows[int(self.units.window_U[unit])]
        kept = kept_positions(int(self.table.id_hash_N[sequence]), length, int(self.kept_N[sequence]), seed=rules.seed)
        inside = kept[np.searchsorted(kept, window.keep_start) : np.searchsorted(kept, window.keep_stop)]
        begin_row = end_row - len(inside)
        part = inside[max(first_row - begin_row, 0) : len(inside) - max(end_row - stop_row, 0)]
        return Piece(sequence, window.start, window.stop, part)


def plan_tasks(table: SequenceTable, rules: RowRules) -> Plan:
    """Lay out all rows.

    Parameters
    ----------
    table
        The sequences; for a store in the order of `sequence_order`, which is that of `sequences.parquet`.
    rules
        Which residues are kept, how sequences are cut into windows, and the rows of a task.

    Raises
    ------
    CorpusError
        If no residue is kept at all.
    """
    kept_N = kept_counts(table.id_hash_N, table.length_N, rules)
    units = _cut_units(table, kept_N, rules)
    if not len(units.rows_U):
        raise CorpusError(
            f"no rows: of {len(table):,} sequences no residue is kept; raise rows.fraction or add sequences"
        )
    units = _ordered(units, table, seed=rules.seed)
    first_unit_S = np.searchsorted(units.split_U, np.arange(len(table.splits) + 1))
    end_U = np.concatenate(
        [
            np.cumsum(units.rows_U[start:stop], dtype=np.int64)
            for start, stop in itertools.pairwise(first_unit_S.tolist())
        ]
    )
    splits: list[SplitPlan] = []
    first_task = 0
    for index, name in enumerate(table.splits):
        stop = int(first_unit_S[index + 1])
        rows = int(end_U[stop - 1]) if stop > first_unit_S[index] else 0
        tasks = -(-rows // rules.task_rows)
        splits.append(SplitPlan(name, int((table.split_N == index).sum()), rows, first_task, tasks))
        first_task += tasks
    return Plan(rules, table, tuple(splits), kept_N, units, end_U, first_unit_S)


def sequence_order(table: SequenceTable, *, seed: int) -> NDArray[np.int64]:
    """Return the order of `sequences.parquet`: by split, then by the place of the first window in the plan.

    A task then finds most of its sequences in one run of neighbouring rows.
    """
    return np.lexsort((unit_keys(table.id_hash_N, 0, seed=seed), table.split_N))


def unit_keys(id_hash_N: UInt64s, window: int, *, seed: int) -> UInt64s:
    """Return the draws by which the units of a split are ordered: one for each sequence, for its window of a number."""
    return draws(derive_key(seed, Purpose.SEQUENCE_ORDER, window), id_hash_N)


def window_rows(id_hash: int, length: int, count: int, rules: RowRules) -> NDArray[np.int32]:
    """Return how many of the `count` kept residues of a sequence belong to each of its windows, int32 [windows]."""
    windows = cut_windows(length, window=rules.window_residues, overlap=rules.window_overlap)
    kept = kept_positions(id_hash, length, count, seed=rules.seed)
    stops = np.searchsorted(kept, [window.keep_stop for window in windows])
    return np.diff(stops, prepend=0).astype(np.int32)


def _cut_units(table: SequenceTable, kept_N: NDArray[np.int32], rules: RowRules) -> _Units:
    window_N = window_counts(table.length_N, window=rules.window_residues, overlap=rules.window_overlap)
    whole_N = np.flatnonzero((window_N == 1) & (kept_N > 0))
    sequence = [whole_N]
    window = [np.zeros(len(whole_N), dtype=np.int32)]
    rows = [kept_N[whole_N]]
    for index in np.flatnonzero((window_N > 1) & (kept_N > 0)):
        counts = window_rows(int(table.id_hash_N[index]), int(table.length_N[index]), int(kept_N[index]), rules)
        used = np.flatnonzero(counts)
        sequence.append(np.full(len(used), index, dtype=np.int64))
        window.append(used.astype(np.int32))
        rows.append(counts[used])
    sequence_U = np.concatenate(sequence)
    return _Units(sequence_U, np.concatenate(window), np.concatenate(rows), table.split_N[sequence_U])


def _ordered(units: _Units, table: SequenceTable, *, seed: int) -> _Units:
    key_U = np.empty(len(units.rows_U), dtype=np.uint64)
    for window in np.unique(units.window_U):
        these = units.window_U == window
        key_U[these] = unit_keys(table.id_hash_N[units.sequence_U[these]], int(window), seed=seed)
    return units.take(np.lexsort((units.sequence_U, key_U, units.split_U)))
