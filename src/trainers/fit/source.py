"""The stream interface that the loop needs. `actstore.Stream` provides it, and rows in memory in the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from actstore import Batch, Cursor

__all__ = ["BatchSource"]


class BatchSource(Protocol):
    """Batches of rows, each row once an epoch, from a position that can be saved and restored."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the S sites of a batch."""
        ...

    @property
    def width(self) -> int:
        """Features D of each site."""
        ...

    @property
    def rows(self) -> int:
        """Rows of an epoch."""
        ...

    @property
    def batch_rows(self) -> int:
        """Rows B of a batch; the last of an epoch may have fewer."""
        ...

    @property
    def batches_per_epoch(self) -> int:
        """Batches of an epoch."""
        ...

    @property
    def cursor(self) -> Cursor:
        """Position of the next batch."""
        ...

    def seek(self, cursor: Cursor) -> None:
        """Go to a position."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch; after `seek`, those from the cursor to the end of its epoch."""
        ...
