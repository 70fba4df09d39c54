"""Labels for rows in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import stream_of
from trainers.fit.rows.places import RowPlaces
from trainers.fit.terms.labels import LabelFacts, Labels, column_facts

RESIDUES = 50
"""Rows of a sequence."""


def placed_stream(values_NSD: NDArray[np.float32], **options: Any) -> MemoryStream:
    """Rows of sequences of 50 residues, one after the other."""
    number_N = np.arange(len(values_NSD))
    return stream_of(
        values_NSD, sequence_N=number_N // RESIDUES, position_N=(number_N % RESIDUES).astype(np.int32), **options
    )


def labels_of(value_N: NDArray[np.floating], *more_N: NDArray[np.floating]) -> Labels:
    """A bool, and beside it numbers, of each of the first rows of `placed_stream`."""
    number_N, values_NC = np.arange(len(value_N)), np.stack([value_N, *more_N], axis=1).astype(np.float64)
    columns = [column_facts("bool", "bool", values_NC[:, 0])]
    columns += [column_facts("float", "float", value_N) for value_N in values_NC.T[1:]]
    facts = LabelFacts(sha256="0" * 64, residues=len(value_N), columns=tuple(one for one in columns if one is not None))
    places = RowPlaces(number_N // RESIDUES, (number_N % RESIDUES).astype(np.int32))
    return Labels(facts, places, values_NC)
