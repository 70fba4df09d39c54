"""Units of work: which residues of which sequences become the rows of one shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Piece", "Task", "TaskRows"]


class Piece(NamedTuple):
    """Residues of one window of one sequence that become rows of a task."""

    sequence: int
    """Row of the sequence in `sequences.parquet`."""
    start: int
    """First residue that the model sees, 0-based."""
    stop: int
    """End of what the model sees, exclusive."""
    position_K: NDArray[np.int32]
    """Kept residues, ascending, as 0-based positions in the whole sequence; all within [start, stop)."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One shard's worth of rows: extracted, written and committed together."""

    index: int
    split: str
    rows: int
    pieces: tuple[Piece, ...]
    order_N: NDArray[np.int64]
    """Row r of the shard is row ``order_N[r]`` of the concatenated pieces."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskRows:
    """The rows of one task in shard order, before encoding."""

    sequence_N: NDArray[np.int64]
    position_N: NDArray[np.int32]
    token_N: NDArray[np.int16]
    values: dict[str, Any]
    """For each site float32 [N, D]: an array of NumPy, or a tensor of `DeviceRows`."""
