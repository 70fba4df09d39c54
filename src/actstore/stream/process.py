"""Which process of a training run this is: what the launcher or torch's process group says."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal, NamedTuple

from actstore.errors import StreamError
from actstore.stream.seats import ONLY, Seat

__all__ = ["SeatSource", "TakenSeat", "take_seat"]

SeatSource = Literal["given", "process group", "environment", "one process"]


class TakenSeat(NamedTuple):
    """A seat, and what says that it is this one."""

    seat: Seat
    source: SeatSource
    """`given` by the caller, by the initialised `process group` of torch.distributed, by RANK and WORLD_SIZE in the
    `environment`, or by none of them: `one process`."""

    def __str__(self) -> str:
        seat = self.seat
        if self.source == "one process":
            return "one process"
        source = {"environment": "RANK, WORLD_SIZE", "given": "seat"}.get(self.source, self.source)
        return f"process {seat.rank} of {seat.world_size} ({source})"


def take_seat(given: Seat | None = None, *, environment: Mapping[str, str] = os.environ) -> TakenSeat:
    """Return the seat of this process.

    Parameters
    ----------
    given
        Takes precedence over everything else.
    environment
        Where a launcher such as `torchrun` sets RANK and WORLD_SIZE.

    Raises
    ------
    StreamError
        If only one of RANK and WORLD_SIZE is set, or they are not a rank and a number of processes.

    Examples
    --------
    >>> str(take_seat(environment={"RANK": "1", "WORLD_SIZE": "4"}))
    'process 1 of 4 (RANK, WORLD_SIZE)'
    """
    if given is not None:
        return TakenSeat(given, "given")
    if (seat := _seat_in_group()) is not None:
        return TakenSeat(seat, "process group")
    found = {name: environment[name] for name in ("RANK", "WORLD_SIZE") if name in environment}
    if not found:
        return TakenSeat(ONLY, "one process")
    shown = ", ".join(f"{name}={value!r}" for name, value in found.items())
    try:
        return TakenSeat(Seat(int(found["RANK"]), int(found["WORLD_SIZE"])), "environment")
    except (KeyError, ValueError, StreamError) as error:
        raise StreamError(
            f"the environment has {shown}, which does not say which of how many processes this is; set both RANK and "
            "WORLD_SIZE (torchrun does), unset both, or pass seat=Seat(rank, world_size)"
        ) from error


def _seat_in_group() -> Seat | None:
    """Return the seat in the default process group; None if torch has none. Does not import torch."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return Seat(distributed.get_rank(), distributed.get_world_size())
