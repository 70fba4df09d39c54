"""Units of work: which residues of which sequences become the rows of one shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import DeviceRows, Site
from actstore.contracts.parallel import ParallelMap

__all__ = ["Piece", "RowSource", "Task", "TaskRows"]


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
    """For each site float32 [N, D]: an array of NumPy, or a tensor of `DeviceRows`; or `Planes`, encoded already."""


class RowSource(Protocol):
    """Gives the rows of any task.

    `extract.task.ModelRows` computes them, `intake.rows.ImportedRows` reads them from files, and
    `store.browse.stored_rows.StoredRows` from another store.
    """

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites, in stored order."""
        ...

    @property
    def device_rows(self) -> DeviceRows | None:
        """Device memory where rows may stay until they are encoded; None for rows of the host."""
        ...

    def sequence_id(self, sequence: int) -> str:
        """Return the id of a sequence of the plan."""
        ...

    def task_rows(
        self,
        task: Task,
        *,
        parallel: ParallelMap,
        take_rows: Callable[[int, Sequence[Site]], TaskRows] | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> TaskRows:
        """Return the rows of a task, in shard order.

        Parameters
        ----------
        task
            Pieces, and the order of their rows.
        parallel
            Does the parts of the work: `LoneThreads.map`, because the bits of a store are those of one-thread passes.
        take_rows
            Returns the memory for the rows, as `RowMemory.take`; None for new memory of the host.
        on_rows
            Called now and then with a number of rows that are done, in this thread; its exceptions end the task.

        Raises
        ------
        NumericsError
            If a value on the host is NaN or infinite; names the sequence, the residue (1-based) and the site.
        """
        ...
