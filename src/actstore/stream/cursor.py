"""A position in a stream that can be saved and sought."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from actstore.access.printable import printable
from actstore.errors import CursorError

__all__ = ["Cursor"]

_MOST: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next batch of a stream; the same for all seats of a training run that are in step.

    Examples
    --------
    >>> cursor = Cursor(epoch=0, start=0, batch=12, world_size=1, stream="3fa9")
    >>> Cursor.from_json(cursor.to_json()) == cursor
    True
    """

    epoch: int
    start: int
    """Rows of this epoch dealt before batches are counted; not 0 after the number of seats changed."""
    batch: int
    """Batches that each seat got since `start`."""
    world_size: int
    """Seats to which rows are dealt."""
    stream: str
    """Fingerprint of store, sites, split, order, seed, batch and buffer size: identifies the stream of the position."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read a cursor from a checkpoint.

        Raises
        ------
        CursorError
            If it is not a cursor.
        """
        match document:
            case {
                "epoch": int(epoch),
                "start": int(start),
                "batch": int(batch),
                "world_size": int(world_size),
                "stream": str(stream),
            } if min(epoch, start, batch) >= 0 < world_size and max(epoch, start, batch, world_size) < _MOST:
                return cls(epoch, start, batch, world_size, stream)
        raise CursorError(
            f"not a cursor: {printable(repr(document))}; expected epoch, start, batch, world_size and stream"
        )
