"""Rows in memory behind the interface of `actstore.Stream`, in uniform random order; a reference for a store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.errors import CursorError
from actstore.stream.batch import Batch
from actstore.stream.cursor import Cursor
from actstore.stream.report import StreamReport

__all__ = ["MemoryMoments", "MemoryStream", "moments_of"]


@dataclass(frozen=True, slots=True, eq=False)
class MemoryMoments:
    """Statistics of one site, as in a manifest."""

    count: int
    mean_norm: float
    mean_square_norm: float
    mean_D: NDArray[np.float64]
    variance_D: NDArray[np.float64]

    @classmethod
    def of(cls, values_ND: Float32s) -> Self:
        """Compute them in float64."""
        values = values_ND.astype(np.float64)
        square_N = (values**2).sum(axis=1)
        return cls(
            count=len(values),
            mean_norm=float(np.sqrt(square_N).mean()),
            mean_square_norm=float(square_N.mean()),
            mean_D=values.mean(axis=0),
            variance_D=values.var(axis=0),
        )


def moments_of(values_NSD: Float32s, sites: Sequence[str]) -> Mapping[str, MemoryMoments]:
    """Return the statistics of each site."""
    return {site: MemoryMoments.of(values_NSD[:, s]) for s, site in enumerate(sites)}


@dataclass
class MemoryStream:
    """Batches of rows held in memory; each epoch is a fresh uniform permutation."""

    values_NSD: Float32s
    sites: tuple[str, ...]
    batch_rows: int = 1024
    seed: int = 0
    sequence_N: NDArray[np.int64] | None = None
    """Sequence of each row; None makes every row a sequence of its own."""
    position_N: NDArray[np.int32] | None = None
    """Place of each row in its sequence; None for unknown ones, -1."""
    cursor: Cursor = field(init=False)
    _started: float = field(init=False, default_factory=time.perf_counter)
    _rows_out: int = field(init=False, default=0)
    _sought: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if self.values_NSD.ndim != 3 or self.values_NSD.shape[1] != len(self.sites):
            raise ValueError(f"rows of shape {self.values_NSD.shape} for sites {self.sites}; wanted [N, S, D]")
        self.cursor = Cursor(epoch=0, start=0, batch=0, world_size=1, stream=self._fingerprint)

    @property
    def _fingerprint(self) -> str:
        return f"memory:{self.values_NSD.shape}:{self.batch_rows}:{self.seed}"

    @property
    def width(self) -> int:
        """Features D of every site."""
        return int(self.values_NSD.shape[2])

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        return len(self.values_NSD)

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch, a smaller last one included."""
        return -(-self.rows // self.batch_rows)

    def seek(self, cursor: Cursor) -> None:
        """Continue at a position; raises `CursorError` for one of another stream."""
        if cursor.stream != self._fingerprint:
            raise CursorError(f"cursor of {cursor.stream}, but this stream is {self._fingerprint}")
        self.cursor, self._sought = cursor, True

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch; after `seek`, those from the cursor to the end of its epoch."""
        if self.cursor.batch and not self._sought:
            self.cursor = replace(self.cursor, epoch=self.cursor.epoch + 1, batch=0)
        epoch = self.cursor.epoch
        order_N = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        sequence_N = np.arange(self.rows) if self.sequence_N is None else self.sequence_N
        position_N = np.full(self.rows, -1, dtype=np.int32) if self.position_N is None else self.position_N
        for batch in range(self.cursor.batch, self.batches_per_epoch):
            row_B = order_N[batch * self.batch_rows : (batch + 1) * self.batch_rows]
            last = batch + 1 == self.batches_per_epoch
            place = (epoch + 1, 0) if last else (epoch, batch + 1)
            self.cursor = replace(self.cursor, epoch=place[0], batch=place[1])
            self._sought = False
            self._rows_out += len(row_B)
            unknown_B = np.full(len(row_B), -1, dtype=np.int16)
            yield Batch(self.values_NSD[row_B], row_B, sequence_N[row_B], position_N[row_B], unknown_B)

    def report(self) -> StreamReport:
        """Return what was delivered so far; mixing is uniform and therefore not measured."""
        seconds = time.perf_counter() - self._started
        return StreamReport(
            process="one process",
            path="memory",
            rows=self._rows_out,
            bytes=self._rows_out * self.values_NSD[0].nbytes,
            seconds=seconds,
            wait_s=0.0,
            batch_s=0.0,
            rows_per_s=self._rows_out / seconds,
            wait_share=0.0,
            batch_share=0.0,
            mixing=None,
        )

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
