"""The proteins of a store: found by id, with their residues and rows; read when somebody asks."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.browse.sequence_index import SequenceIndex, SequenceRows
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences

__all__ = ["Proteins"]


class Proteins:
    """Opens `sequences.parquet` at the first question, and indexes it at the first question for a protein's rows.

    Parameters
    ----------
    objects, frozen
        The store.
    progress
        Where to report.
    """

    def __init__(self, objects: ObjectStore, frozen: FrozenRecipe, *, progress: Progress) -> None:
        self._objects, self._frozen, self._progress = objects, frozen, progress
        self._stored: StoredSequences | None = None
        self._index: SequenceIndex | None = None
        self._lock = threading.RLock()

    def find(self, sequence: str | int) -> tuple[int, str, str]:
        """Return number, id and residues of a protein, given its id or its number.

        Raises
        ------
        UsageError
            If there is no such protein.
        MissingObjectError, CorruptObjectError
            If the sequences are lost or damaged.
        """
        stored = self._sequences()
        if not isinstance(sequence, str) and not hasattr(sequence, "__index__"):
            raise UsageError(
                f"sequence is the id of one protein, or its number, not {sequence!r:.80}; rows by their numbers are "
                "store[[17, 99]]"
            )
        number = self._indexed().find(sequence) if isinstance(sequence, str) else int(sequence)
        if not 0 <= number < len(stored):
            raise UsageError(f"{self._objects.uri}: no sequence {number:,}; there are {len(stored):,}, counted from 0")
        return number, stored.sequence_id(number), stored.residues(number)

    def rows(self, number: int) -> SequenceRows:
        """Return the rows of a protein."""
        return self._indexed().rows(number)

    def letters(self, sequence_N: NDArray[np.int64], position_N: NDArray[np.int32]) -> tuple[list[str], str]:
        """Return the id of each sequence, and the residue at each position; a row group is read once.

        Raises
        ------
        CorruptObjectError
            If there is no such sequence or position, as rows of a damaged store may say.
        """
        stored = self._sequences()
        ids, letters = [""] * len(sequence_N), [""] * len(sequence_N)
        for place in np.argsort(sequence_N, kind="stable").tolist():
            sequence, position = int(sequence_N[place]), int(position_N[place])
            try:
                ids[place], residues = stored.sequence_id(sequence), stored.residues(sequence)
            except IndexError as error:
                raise self._strange(str(error)) from error
            if not 0 <= position < len(residues):
                raise self._strange(f"position {position:,} of {printable(ids[place])}, which has {len(residues):,}")
            letters[place] = residues[position]
        return ids, "".join(letters)

    def ids(self, sequence_N: NDArray[np.int64]) -> list[str]:
        """Return the id of each sequence, given its number; a row group is read once. Raises as `letters`."""
        stored = self._sequences()
        try:
            id_of = {sequence: stored.sequence_id(sequence) for sequence in np.unique(sequence_N).tolist()}
        except IndexError as error:
            raise self._strange(str(error)) from error
        return [id_of[sequence] for sequence in sequence_N.tolist()]

    def close(self) -> None:
        """Close the file, and forget the index."""
        with self._lock:
            if self._stored is not None:
                self._stored.close()
            self._stored = self._index = None

    def _strange(self, said: str) -> CorruptObjectError:
        return CorruptObjectError(f"{self._objects.uri}: a row says {said}; find the damage with 'actstore verify'")

    def _sequences(self) -> StoredSequences:
        with self._lock:
            if self._stored is None:
                self._stored = StoredSequences(self._objects)
            return self._stored

    def _indexed(self) -> SequenceIndex:
        with self._lock:
            if self._index is None:
                self._index = SequenceIndex(self._sequences(), self._frozen, progress=self._progress)
            return self._index
