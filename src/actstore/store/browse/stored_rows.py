"""Rows of tasks of a new store that are taken from another store, encoded as they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.read_ahead import map_ahead
from actstore.contracts.models import Site
from actstore.contracts.parallel import ParallelMap
from actstore.contracts.planes import Planes
from actstore.contracts.tasks import Piece, Task, TaskRows
from actstore.contracts.windows import RowWindow
from actstore.errors import CorruptObjectError
from actstore.store.browse.chosen_sequences import ChosenSequences
from actstore.store.format.layout import ArraySpec, scales_path, values_path
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source
from actstore.store.read.reader import ArrayReader

__all__ = ["StoredRows"]

_MOST_BYTES: Final = 4 << 20
"""Bytes of one read; sixteen are in flight, and at most twice as many wait."""
_GAP_BYTES: Final = 1 << 19
"""Chunks that nobody wants are read if they are fewer bytes than this: as dear as one more request."""


class StoredRows:
    """Rows that another store has; a `contracts.tasks.RowSource`.

    A plan with the seed of the source keeps the order of its windows. So the rows of a task come from neighbouring
    tasks of the source, and neighbouring tasks share at most one of those for each store and split: a chunk of the
    source is read once, or twice if it lies there.

    Parameters
    ----------
    objects, manifest
        The source.
    sites
        Sites of the source, in stored order.
    sequences
        The sequences of the new store.
    order_N
        Place in `sequences` of each sequence of the plan; None for their order.
    """

    def __init__(
        self,
        objects: Source,
        manifest: Manifest,
        sites: tuple[Site, ...],
        sequences: ChosenSequences,
        order_N: NDArray[np.int64] | None = None,
    ) -> None:
        self._uri, self._frozen, self._sites = objects.uri, manifest.frozen, sites
        self._sequences, self._order_N = sequences, order_N
        specs = {spec.path: spec for spec in self._frozen.row_arrays}
        scales = [] if self._frozen.quantizer.scales is None else [scales_path(self._frozen.quantizer)]
        paths = ["rows/sequence", "rows/position", "rows/token", *scales, *(values_path(site.name) for site in sites)]
        self._arrays = [specs[path] for path in paths]
        self._reader = ArrayReader(objects, manifest, self._arrays)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites, in stored order."""
        return self._sites

    @property
    def device_rows(self) -> None:
        """Rows are on the host."""
        return

    def sequence_id(self, sequence: int) -> str:
        """Return the id of a sequence of the plan."""
        return self._sequences.sequence_id(self._place(sequence))

    def task_rows(
        self,
        task: Task,
        *,
        parallel: ParallelMap,
        take_rows: Callable[[int, Sequence[Site]], TaskRows] | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> TaskRows:
        """Read the rows of a task, chunks at a time; see `RowSource`.

        The rows are `Planes` in memory of their own; `parallel` and `take_rows` are for rows that are computed.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            Naming object and task of the source; or if a row is not where the plan of the source says.
        """
        del parallel, take_rows
        counts = [len(piece.position_K) for piece in task.pieces]
        source_N = np.concatenate([self._rows_of(piece) for piece in task.pieces])[task.order_N]
        position_N = np.concatenate([piece.position_K for piece in task.pieces])[task.order_N]
        sequence_N = np.repeat([piece.sequence for piece in task.pieces], counts)[task.order_N]
        columns = {spec.path: np.empty((task.rows, *spec.shape[1:]), dtype=spec.dtype) for spec in self._arrays}
        for read, found in map_ahead(self._load, self._reads(source_N)):
            columns[read.spec.path][read.slot_K] = found
            if on_rows is not None and read.spec is self._arrays[-1]:
                on_rows(len(read.slot_K))
        self._check(source_N, columns, sequence_N, position_N)
        return TaskRows(
            sequence_N.astype(np.int64),
            position_N.astype(np.int32),
            columns["rows/token"].astype(np.int16, copy=False),
            {site.name: self._planes(site, columns) for site in self._sites},
        )

    def _rows_of(self, piece: Piece) -> NDArray[np.int64]:
        """Return the numbers in the source of the rows of a piece."""
        number = int(self._sequences.number_N[self._place(piece.sequence)])
        row_N, position_N = self._sequences.proteins.rows(number)
        slot_K = np.minimum(np.searchsorted(position_N, piece.position_K), max(len(position_N) - 1, 0))
        if not len(position_N) or (position_N[slot_K] != piece.position_K).any():
            raise CorruptObjectError(
                f"{self._uri}: {printable(self._sequences.proteins.find(number)[1])} does not have the rows that its "
                "recipe says; find the damage with 'actstore verify'"
            )
        return row_N[slot_K]

    def _reads(self, source_N: NDArray[np.int64]) -> Iterator[_Read]:
        """Yield what is to be read, task by task of the source, and in each array by array."""
        order_N = np.argsort(source_N, kind="stable")
        task_N, place_N = np.divmod(source_N[order_N], self._frozen.layout.task_rows)
        for task in np.unique(task_N).tolist():
            begin, end = np.searchsorted(task_N, [task, task + 1]).tolist()
            for spec in self._arrays:
                for first, stop in _runs(place_N[begin:end], spec):
                    low, high = (begin + np.searchsorted(place_N[begin:end], [first, stop])).tolist()
                    window = RowWindow(task, first, min(stop, self._frozen.rows_of(task)))
                    yield _Read(spec, window, place_N[low:high] - first, order_N[low:high])

    def _load(self, read: _Read) -> tuple[_Read, NDArray[Any]]:
        return read, self._reader.rows(read.spec.path, read.window)[read.take_K]

    def _check(
        self,
        source_N: NDArray[np.int64],
        columns: dict[str, NDArray[Any]],
        sequence_N: NDArray[np.int64],
        position_N: NDArray[np.int32],
    ) -> None:
        """Compare the rows with the plan of the source."""
        places = sequence_N if self._order_N is None else self._order_N[sequence_N]
        found_N = self._frozen.common_sequences(columns["rows/sequence"].astype(np.int64), source_N)
        wrong = (found_N != self._sequences.number_N[places]) | (columns["rows/position"] != position_N)
        if wrong.any():
            raise CorruptObjectError(
                f"{self._uri}: row {source_N[wrong][0]:,} is not the one that the plan says; find the damage with "
                "'actstore verify'"
            )

    def _planes(self, site: Site, columns: dict[str, NDArray[Any]]) -> Planes:
        quantizer, scale_NG = self._frozen.quantizer, None
        if quantizer.scales is not None:
            scale_NSG = columns[scales_path(quantizer)].reshape(-1, len(self._frozen.sites), self._groups)
            column = self._frozen.sites.index(site)
            scale_NG = np.ascontiguousarray(scale_NSG[:, column, : quantizer.scale_groups(site.width)])
        return Planes(columns[values_path(site.name)], scale_NG)

    @property
    def _groups(self) -> int:
        """Scales of a row and site, as they are padded."""
        return max(self._frozen.quantizer.scale_groups(site.width) for site in self._frozen.sites)

    def _place(self, sequence: int) -> int:
        return sequence if self._order_N is None else int(self._order_N[sequence])


class _Read(NamedTuple):
    """Neighbouring chunks of one array, and which of their rows are taken."""

    spec: ArraySpec
    window: RowWindow
    take_K: NDArray[np.int64]
    """Places in the window."""
    slot_K: NDArray[np.int64]
    """Where they go in the new task."""


def _runs(place_K: NDArray[np.int64], spec: ArraySpec) -> Iterator[tuple[int, int]]:
    """Yield the rows of neighbouring chunks that hold these places, ascending; few bytes between them are read, too."""
    chunk_rows = spec.chunk[0]
    chunk_bytes = chunk_rows * spec.row_bytes
    chunks = np.unique(place_K // chunk_rows).tolist()
    first, last = chunks[0], chunks[0]
    for chunk in chunks[1:]:
        near = (chunk - last - 1) * chunk_bytes <= _GAP_BYTES
        if not near or (chunk + 1 - first) * chunk_bytes > _MOST_BYTES:
            yield first * chunk_rows, (last + 1) * chunk_rows
            first = chunk
        last = chunk
    yield first * chunk_rows, (last + 1) * chunk_rows
