"""Held-out rows in memory, the same ones at each evaluation during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from actstore import Batch
from trainers.score.evaluate import ScoredRows

__all__ = ["HeldOut", "hold_out"]


class HeldOut(NamedTuple):
    """Some batches of rows that are not trained on."""

    sites: tuple[str, ...]
    batches: tuple[Batch, ...]

    @property
    def rows(self) -> int:
        """Rows of all batches."""
        return sum(len(batch.values_BSD) for batch in self.batches)

    def until(self, stopped: Callable[[], bool]) -> ScoredRows:
        """Return the same rows, which end early when `stopped` says so; the first batch always comes."""
        return _Until(self, stopped)


class _Until:
    def __init__(self, held_out: HeldOut, stopped: Callable[[], bool]) -> None:
        self.sites, self.rows = held_out.sites, held_out.rows
        self._batches, self._stopped = held_out.batches, stopped

    def __iter__(self) -> Iterator[Batch]:
        for number, batch in enumerate(self._batches):
            if number and self._stopped():
                return
            yield batch


def hold_out(source: ScoredRows, *, max_rows: int) -> HeldOut:
    """Read the first rows of a stream into memory of their own, at most `max_rows`."""
    batches: list[Batch] = []
    left = max_rows
    for batch in source:
        values_BSD = torch.as_tensor(batch.values_BSD[:left]).clone()
        batches.append(
            batch._replace(values_BSD=values_BSD, row_B=batch.row_B[:left], sequence_B=batch.sequence_B[:left])
        )
        left -= len(values_BSD)
        if left <= 0:
            break
    return HeldOut(source.sites, tuple(batches))
