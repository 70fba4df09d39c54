"""Where the rows of a sequence are, and which sequence has an id: from the plan, without reading any row.

A plan orders the units (windows with kept residues) of a split by a draw of their id, so the place of a unit is the
number of rows of all units with a smaller draw. Draws are uniform, so they are counted in buckets of equal width, and
the few units of a bucket are counted when somebody asks for one of them. `sequences.parquet` is in the order of first
windows, so those of a bucket are neighbours there. Further windows, which only long sequences have, are listed.

Memory: 16 bytes for each bucket of some hundred sequences, and 21 for each further window of a long sequence: 2.1 bytes
for a sequence where 4 % are longer than a window.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, UInt64s, derive_key, hash_text, permutation
from actstore.contracts.progress import Progress
from actstore.contracts.recent import Recent
from actstore.corpus.windows import cut_windows, window_counts
from actstore.errors import CorruptObjectError, UsageError
from actstore.extract.residues import kept_positions
from actstore.store.plan.tasks import unit_keys, window_rows
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import GROUP_SEQUENCES, SequenceGroup, StoredSequences

__all__ = ["SequenceIndex", "SequenceRows"]

_BUCKET_SEQUENCES: Final = 256
_MOST_BITS: Final = 20
_BUCKETS_IN_MEMORY: Final = 4096
_TASKS_IN_MEMORY: Final = 512
"""The order of rows in a task takes 8 bytes a row: 64 MB with tasks of 16,384 rows."""


class SequenceRows(NamedTuple):
    """The rows of one sequence, in the order of its residues."""

    row_N: NDArray[np.int64]
    """Numbers of the rows in the store; tasks may not be extracted yet."""
    position_N: NDArray[np.int32]
    """Places of the residues in the sequence, ascending, counted from 0."""


class _Units(NamedTuple):
    """Units of a split in the order of the plan."""

    key_U: UInt64s
    sequence_U: NDArray[np.int64]
    begin_U: NDArray[np.int64]
    """Rows of the split before each unit."""


class _Further(NamedTuple):
    """Windows after the first of long sequences, by split, draw and sequence."""

    split_U: NDArray[np.int8]
    key_U: UInt64s
    sequence_U: NDArray[np.int64]
    rows_U: NDArray[np.int32]

    @classmethod
    def of(cls, split: array[int], key: array[int], sequence: array[int], rows: array[int]) -> _Further:
        """Return these windows in order."""
        found = cls(
            np.frombuffer(split, np.int8),
            np.frombuffer(key, np.uint64),
            np.frombuffer(sequence, np.int64),
            np.frombuffer(rows, np.int32),
        )
        order_U = np.lexsort((found.sequence_U, found.key_U, found.split_U))
        return cls(found.split_U[order_U], found.key_U[order_U], found.sequence_U[order_U], found.rows_U[order_U])


class SequenceIndex:
    """Finds sequences and their rows; threads may share it.

    Parameters
    ----------
    sequences
        Of the store; stays open as long as the index is used.
    frozen
        Recipe of the store.
    progress
        Where to report: ids, lengths and rows of all sequences are read once.

    Raises
    ------
    CorruptObjectError
        If the sequences do not have the rows that the recipe says.
    """

    def __init__(self, sequences: StoredSequences, frozen: FrozenRecipe, *, progress: Progress) -> None:
        self._sequences = sequences
        self._frozen = frozen
        self._rules = frozen.row_rules
        self._names = frozen.split_names
        self._buckets: Recent[tuple[int, int], _Units] = Recent(_BUCKETS_IN_MEMORY)
        self._orders: Recent[int, NDArray[np.int64]] = Recent(_TASKS_IN_MEMORY)
        count = max(len(sequences) // _BUCKET_SEQUENCES, 1)
        self._bits = min(count.bit_length(), _MOST_BITS)
        self._count(progress)

    def find(self, sequence_id: str) -> int:
        """Return the number of the sequence with an id: its row in `sequences.parquet`.

        Raises
        ------
        UsageError
            If the store has no such sequence.
        """
        id_hash = np.array([hash_text(sequence_id)], dtype=np.uint64)
        key = int(unit_keys(id_hash, 0, seed=self._rules.seed)[0])
        bucket = self._bucket_of(key)
        for split in range(len(self._names)):
            for begin, here, found in self._groups_of(split, bucket):
                for place in (np.flatnonzero(found.id_hash_N[here] == id_hash[0]) + here.start).tolist():
                    if found.ids[place] == sequence_id:
                        return int(begin + place)
        raise UsageError(
            f"no sequence {sequence_id!r} in this store; ids are as in its FASTA or Parquet file, such as "
            f"{self._sequences.sequence_id(0)!r}"
        )

    def rows(self, sequence: int) -> SequenceRows:
        """Return the rows of a sequence.

        Raises
        ------
        IndexError
            If there is no such sequence.
        CorruptObjectError
            If the sequences are damaged.
        """
        if not 0 <= sequence < len(self._sequences):
            raise IndexError(f"sequence {sequence} of {len(self._sequences)}")
        group, place = divmod(sequence, GROUP_SEQUENCES)
        found = self._sequences.group(group)
        id_hash, length, count = (int(each[place]) for each in (found.id_hash_N, found.length_N, found.rows_N))
        split = int(np.searchsorted(self._first_sequence_S, sequence, side="right")) - 1
        kept = kept_positions(id_hash, length, count, seed=self._rules.seed)
        windows = cut_windows(length, window=self._rules.window_residues, overlap=self._rules.window_overlap)
        rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        hash_1 = np.array([id_hash], dtype=np.uint64)
        for number, window in enumerate(windows):
            inside = int(np.searchsorted(kept, window.keep_stop) - np.searchsorted(kept, window.keep_start))
            if inside:
                key = int(unit_keys(hash_1, number, seed=self._rules.seed)[0])
                begin = self._begin(split, key, sequence)
                rows.append(self._stored(split, np.arange(begin, begin + inside)))
        return SequenceRows(np.concatenate(rows), kept)

    def _count(self, progress: Progress) -> None:
        """Read lengths and rows of all sequences once."""
        splits, buckets = len(self._names), 1 << self._bits
        rows_SB, sequences_SB = (np.zeros((splits, buckets), dtype=np.int64) for _ in range(2))
        split_U, key_U, sequence_U, rows_U = array("b"), array("Q"), array("q"), array("i")
        rules, start = self._rules, 0
        with progress.stage("indexing sequences", total=len(self._sequences), unit="sequences") as stage:
            for part, count_N in self._sequences.parts(self._names):
                windows_N = window_counts(part.length_N, window=rules.window_residues, overlap=rules.window_overlap)
                first_N = count_N.astype(np.int64)
                for place in np.flatnonzero((windows_N > 1) & (count_N > 0)).tolist():
                    id_hash = int(part.id_hash_N[place])
                    rows_W = window_rows(id_hash, int(part.length_N[place]), int(count_N[place]), rules)
                    first_N[place] = rows_W[0]
                    for window in (np.flatnonzero(rows_W[1:]) + 1).tolist():
                        split_U.append(int(part.split_N[place]))
                        key_U.append(int(unit_keys(part.id_hash_N[place : place + 1], window, seed=rules.seed)[0]))
                        sequence_U.append(start + place)
                        rows_U.append(int(rows_W[window]))
                key_N = unit_keys(part.id_hash_N, 0, seed=rules.seed)
                cell_N = (part.split_N.astype(np.int64) << self._bits) + self._buckets_of(key_N)
                np.add.at(rows_SB.reshape(-1), cell_N, first_N)
                sequences_SB.reshape(-1)[:] += np.bincount(cell_N, minlength=splits * buckets)
                start += len(part)
                stage.advance(len(part))
        self._further = _Further.of(split_U, key_U, sequence_U, rows_U)
        self._first_further_S = np.searchsorted(self._further.split_U, np.arange(splits + 1))
        cell_U = (self._further.split_U.astype(np.int64) << self._bits) + self._buckets_of(self._further.key_U)
        np.add.at(rows_SB.reshape(-1), cell_U, self._further.rows_U.astype(np.int64))
        self._begin_SB = np.concatenate([np.zeros((splits, 1), np.int64), rows_SB.cumsum(axis=1)], axis=1)
        self._sequence_SB = np.concatenate([np.zeros((splits, 1), np.int64), sequences_SB.cumsum(axis=1)], axis=1)
        self._first_sequence_S = np.concatenate([[0], self._sequence_SB[:-1, -1].cumsum()])
        self._check()

    def _check(self) -> None:
        """Compare rows and sequences of each split with the recipe."""
        for split, name in enumerate(self._names):
            said = self._frozen.splits.get(name)
            wanted = (0, 0) if said is None else (said.sequences, said.rows)
            found = (int(self._sequence_SB[split, -1]), int(self._begin_SB[split, -1]))
            if found != wanted:
                raise CorruptObjectError(
                    f"sequences.parquet has {found[0]:,} sequences with {found[1]:,} rows in split {name}, the recipe "
                    f"says {wanted[0]:,} with {wanted[1]:,}; find the damage with 'actstore verify'"
                )

    def _begin(self, split: int, key: int, sequence: int) -> int:
        """Return the rows of the split before a unit."""
        bucket = self._bucket_of(key)
        units = self._buckets.get((split, bucket), partial(self._units, split, bucket))
        unit = int(np.searchsorted(units.key_U, np.uint64(key)))
        while units.sequence_U[unit] != sequence:  # equal draws are in the order of sequences
            unit += 1
            if unit == len(units.key_U) or units.key_U[unit] != np.uint64(key):
                raise CorruptObjectError(
                    "sequences.parquet is not in the order of the plan; find the damage with 'actstore verify'"
                )
        return int(units.begin_U[unit])

    def _units(self, split: int, bucket: int) -> _Units:
        """Return the units of a bucket."""
        keys, numbers, counts = [], [], []
        for begin, here, found in self._groups_of(split, bucket):
            hash_N, length_N, rows_N = found.id_hash_N[here], found.length_N[here], found.rows_N[here].copy()
            for place in np.flatnonzero((length_N > self._rules.window_residues) & (rows_N > 0)).tolist():
                id_hash = int(hash_N[place])
                rows_N[place] = window_rows(id_hash, int(length_N[place]), int(rows_N[place]), self._rules)[0]
            keys.append(unit_keys(hash_N, 0, seed=self._rules.seed))
            numbers.append(begin + here.start + np.arange(len(hash_N)))
            counts.append(rows_N)
        further = self._further_of(split, bucket)
        key_U = np.concatenate([*keys, self._further.key_U[further]])
        sequence_U = np.concatenate([*numbers, self._further.sequence_U[further]])
        rows_U = np.concatenate([*counts, self._further.rows_U[further]]).astype(np.int64)
        order_U = np.lexsort((sequence_U, key_U))
        rows_U = rows_U[order_U]
        begin_U = self._begin_SB[split, bucket] + rows_U.cumsum() - rows_U
        return _Units(key_U[order_U], sequence_U[order_U], begin_U)

    def _stored(self, split: int, row_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers in the store of rows of a split, which tasks permute."""
        facts, task_rows = self._frozen.splits[self._names[split]], self._rules.task_rows
        stored_N = np.empty(len(row_N), dtype=np.int64)
        task_N, place_N = np.divmod(row_N, task_rows)
        for task in np.unique(task_N).tolist():
            here = task_N == task
            number = facts.first_task + task
            place_of = self._orders.get(number, partial(self._places, number))
            stored_N[here] = number * task_rows + place_of[place_N[here]]
        return stored_N

    def _places(self, task: int) -> NDArray[np.int64]:
        """Return the place in the shard of each row of a task."""
        order_N = permutation(derive_key(self._rules.seed, Purpose.ROW_ORDER, task), self._frozen.rows_of(task))
        place_N = np.empty_like(order_N)
        place_N[order_N] = np.arange(len(order_N))
        return place_N

    def _groups_of(self, split: int, bucket: int) -> Iterator[tuple[int, slice, SequenceGroup]]:
        """Yield the row groups with sequences whose first windows are in a bucket: first sequence, which, and group."""
        first, stop = (
            int(self._first_sequence_S[split] + self._sequence_SB[split, border]) for border in (bucket, bucket + 1)
        )
        for group in range(first // GROUP_SEQUENCES, -(-stop // GROUP_SEQUENCES)):
            begin = group * GROUP_SEQUENCES
            yield begin, slice(max(first - begin, 0), min(stop - begin, GROUP_SEQUENCES)), self._sequences.group(group)

    def _bucket_of(self, key: int) -> int:
        return key >> (64 - self._bits)

    def _buckets_of(self, key_N: UInt64s) -> NDArray[np.int64]:
        return (key_N >> np.uint64(64 - self._bits)).astype(np.int64)

    def _further_of(self, split: int, bucket: int) -> slice:
        """Return which of the further windows are in a bucket."""
        low, high = self._first_further_S[split : split + 2].tolist()
        width = 1 << (64 - self._bits)
        first, last = np.uint64(bucket * width), np.uint64((bucket + 1) * width - 1)
        key_U = self._further.key_U[low:high]
        return slice(low + int(np.searchsorted(key_U, first)), low + int(np.searchsorted(key_U, last, side="right")))
