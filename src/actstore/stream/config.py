"""Order of rows, sizes of batches, and the process that gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actstore.stream.process import SeatSource
from actstore.stream.seats import ONLY, Seat

__all__ = ["OrderName", "StreamConfig"]

OrderName = Literal["windows", "uniform"]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Order of rows, and the seat that gets them."""

    batch_rows: int
    """Rows of a batch."""
    fill_batches: int
    """Batches of one fill, which is mixed in memory."""
    window_rows: int
    """Rows of a window."""
    order: OrderName = "windows"
    seed: int = 0
    seat: Seat = ONLY
    seat_source: SeatSource = "given"
    """What says that this process has that seat."""
    drop_last: bool = False
    """Leave out the rows that do not make a full batch for every seat."""
    threads: int = 4
    """Windows loaded at the same time."""
