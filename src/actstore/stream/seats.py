"""How the rows of an epoch are dealt to the processes of a training run; pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from actstore.errors import StreamError

__all__ = ["ONLY", "Deal", "FillShare", "Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """One process of a training run."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise StreamError(f"rank must be in 0 .. {self.world_size - 1}, not {self.rank}")


ONLY: Final = Seat()
"""The seat of a run of one process."""


class FillShare(NamedTuple):
    """The rows of one seat in one round of fills."""

    start: int
    """First row, counted along the order of the epoch from the start of the deal."""
    batches: tuple[int, ...]
    """Rows of each batch."""

    @property
    def stop(self) -> int:
        """End of the rows, exclusive."""
        return self.start + sum(self.batches)


@dataclass(frozen=True, slots=True)
class Deal:
    """Equal numbers of batches for every seat; every row goes to exactly one seat.

    Rows are dealt in *steps*: in each step every seat gets one batch. All steps except the last are full (`batch_rows`
    for every seat). The rows left over are divided evenly, so the last batches are smaller, and differ by one row at
    most. If fewer rows than seats are left over, they and the last full step are dealt as two smaller steps. With
    `drop_last`, the rows left over are not dealt.

    In a *round* each seat gets one fill: `fill_batches` steps, fewer in the last round. The rows of a round are
    contiguous along the order of the epoch, and those of each seat are contiguous within them. So at the end of a round
    all earlier rows have been dealt, and all later rows can be dealt to another number of seats.
    """

    rows: int
    batch_rows: int
    fill_batches: int
    world_size: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        if not self.batches:
            raise StreamError(
                f"{self.rows:,} rows do not make one batch of {self.batch_rows:,} for each of {self.world_size} "
                "processes; use smaller batches, fewer processes, or drop_last=False"
            )
        if min(self._last_steps, default=self.world_size) < self.world_size:
            raise StreamError(
                f"{self.rows:,} rows in batches of {self.batch_rows} cannot be dealt to {self.world_size} processes "
                "without an empty batch; use larger batches, fewer processes, or drop_last"
            )

    @property
    def batches(self) -> int:
        """Batches of every seat."""
        return self._full_steps + len(self._last_steps)

    @property
    def rounds(self) -> int:
        """Fills of every seat."""
        return -(-self.batches // self.fill_batches)

    @property
    def rows_dealt(self) -> int:
        """Rows of all batches of all seats."""
        return self.begins_at(self.batches)

    def share(self, round_: int, rank: int) -> FillShare:
        """Return the share of a seat in one round."""
        first = round_ * self.fill_batches
        steps = range(first, min(first + self.fill_batches, self.batches))
        full = min(max(self._full_steps - first, 0), len(steps))
        before = rank * self.batch_rows * full
        for step in steps[full:]:
            each, more = divmod(self._last_steps[step - self._full_steps], self.world_size)
            before += rank * each + min(rank, more)
        return FillShare(self.begins_at(first) + before, tuple(self._part(step, rank) for step in steps))

    def begins_at(self, step: int) -> int:
        """Return the rows of all steps before one."""
        full = min(step, self._full_steps)
        return full * self.batch_rows * self.world_size + sum(self._last_steps[: step - full])

    def most_rows(self) -> int:
        """Return the rows of the largest fill of any seat."""
        return self.batch_rows * min(self.fill_batches, self.batches)

    @property
    def _full_steps(self) -> int:
        full, left = divmod(self.rows, self.batch_rows * self.world_size)
        return full - 1 if self._joins(full, left) else full

    @property
    def _last_steps(self) -> tuple[int, ...]:
        """Rows of each step that is not full."""
        full, left = divmod(self.rows, self.batch_rows * self.world_size)
        if self.drop_last or not left:
            return ()
        if self._joins(full, left):
            both = left + self.batch_rows * self.world_size
            return (both - both // 2, both // 2)
        return (left,)

    def _joins(self, full: int, left: int) -> bool:
        """Return whether the rows left over are too few for a step."""
        return not self.drop_last and full > 0 and 0 < left < self.world_size

    def _part(self, step: int, rank: int) -> int:
        if step < self._full_steps:
            return self.batch_rows
        each, more = divmod(self._last_steps[step - self._full_steps], self.world_size)
        return each + (rank < more)
