"""A position in a stream that can be saved and sought."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from actstore.errors import CursorError

__all__ = ["Cursor"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next batch of a stream.

    Examples
    --------
    >>> cursor = Cursor(epoch=0, batch=12, stream="3fa9")
    >>> Cursor.from_json(cursor.to_json()) == cursor
    True
    """

    epoch: int
    batch: int
    """Batches of this epoch that have been delivered."""
    stream: str
    """Fingerprint of store, sites, split, seed, batch and buffer size: what the position is a position in."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Take a cursor out of a checkpoint.

        Raises
        ------
        CursorError
            If it is not one.
        """
        match document:
            case {"epoch": int(epoch), "batch": int(batch), "stream": str(stream)} if epoch >= 0 and batch >= 0:
                return cls(epoch, batch, stream)
        raise CursorError(f"not a cursor: {document!r}; expected epoch, batch and stream")
