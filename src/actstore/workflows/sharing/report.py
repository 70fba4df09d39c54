"""What a copy did."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CopyReport"]


class CopyReport(NamedTuple):
    """What `copy_store` did."""

    source: str
    uri: str
    """Place of the copy."""
    complete: bool
    """Whether the copy has all its tasks; False if the source does not have them yet."""
    sites: tuple[str, ...]
    splits: dict[str, int]
    """Rows of each split."""
    rows: int
    tasks_total: int
    tasks_before: int
    """Tasks that were there."""
    objects: int
    """Objects of tasks that were written."""
    bytes: int
    seconds: float
    manifest_sha256: str | None
    """Digest of the manifest of the copy; None while it is incomplete."""
    sequences: int | None = None
    """Sequences of the copy, if they were listed: it is then a store of its own; None for a whole store or a part."""
