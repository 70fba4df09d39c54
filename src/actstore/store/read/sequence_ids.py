"""The ids of sequences by their number, read when they are asked for."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.store.write.sequences import StoredSequences

__all__ = ["SequenceIds"]


class SequenceIds:
    """Opens the sequences of a store at the first question, and keeps a few row groups; threads may share it."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._opened: StoredSequences | None = None
        self._lock = threading.Lock()

    def __call__(self, sequence_N: NDArray[np.int64]) -> list[str]:
        """Return the id of each sequence.

        Raises
        ------
        IndexError
            If there is no such sequence.
        MissingObjectError, CorruptObjectError
            If the sequences are lost or damaged.
        """
        with self._lock:
            if self._opened is None:
                self._opened = StoredSequences(self._objects)
            # In the order of the file, so that each row group is read once.
            name_of = {sequence: self._opened.sequence_id(sequence) for sequence in np.unique(sequence_N).tolist()}
        return [name_of[sequence] for sequence in sequence_N.tolist()]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
