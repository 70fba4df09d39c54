"""Report of a stream: rows delivered so far, and the waiting time of its consumer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.stream.mixing import Mixing, MixingReport

__all__ = ["Meter", "StreamReport"]

_BATCHES_BETWEEN: Final = 8
"""Measuring the mixing of a batch takes a tenth of the time of gathering it; one in eight is enough for a mean."""


class StreamReport(NamedTuple):
    """Totals of a stream so far."""

    process: str
    """Whose rows these are: `one process`, or rank, number of processes and what says so."""
    path: str
    """Where rows are while they are mixed: `mapped` (memory maps), `buffered` (host memory) or `device`."""
    rows: int
    bytes: int
    """Encoded bytes, scales included."""
    seconds: float
    """From the first request for a batch to the latest, the consumer's own time included."""
    wait_s: float
    """Time in which the consumer waited for bytes."""
    batch_s: float
    """Time in which the consumer waited for a batch: for bytes, and while rows were gathered and decoded."""
    rows_per_s: float
    wait_share: float
    """`wait_s` over `seconds`."""
    batch_share: float
    """`batch_s` over `seconds`."""
    mixing: MixingReport | None
    """Over one full batch in eight; None without a full batch, or if missing tasks leave the expectation unknown."""


class Meter:
    """Counts batches, rows and times of a stream."""

    def __init__(
        self, sequences_by_rows: Callable[[], NDArray[np.int64] | None], batch_rows: int, *, process: str
    ) -> None:
        self._process = process
        self._mixing = Mixing(sequences_by_rows, batch_rows)
        self._batches = self._rows = self._bytes = 0
        self._seconds = self._batch_s = 0.0
        self._last = 0.0

    def begin(self) -> None:
        """Start the clock: the consumer asks for the first batch."""
        self._last = time.perf_counter()

    def delivered(self, row_B: NDArray[np.int64], sequence_B: NDArray[np.int64], *, row_bytes: int) -> None:
        """Count a batch just before the consumer gets it."""
        self._batch_s += self._tick()
        if self._batches % _BATCHES_BETWEEN == 0:
            self._mixing.add(row_B, sequence_B)
        self._batches += 1
        self._rows += len(row_B)
        self._bytes += len(row_B) * row_bytes

    def asked(self) -> None:
        """Count the time that the consumer used for the batch, when it asks for the next."""
        self._tick()

    def report(self, *, path: str, wait_s: float) -> StreamReport:
        """Return the totals."""
        seconds = self._seconds
        return StreamReport(
            process=self._process,
            path=path,
            rows=self._rows,
            bytes=self._bytes,
            seconds=seconds,
            wait_s=wait_s,
            batch_s=self._batch_s,
            rows_per_s=self._rows / seconds if seconds else 0.0,
            wait_share=wait_s / seconds if seconds else 0.0,
            batch_share=self._batch_s / seconds if seconds else 0.0,
            mixing=self._mixing.report(),
        )

    def _tick(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        self._seconds += passed
        return passed
