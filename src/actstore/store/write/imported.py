"""What a frozen recipe says of rows that were imported: their files or their store, and what is known of them."""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator

from actstore.contracts.unknown import KNOWABLE, Knowable
from actstore.store.format.vectors import Document

__all__ = ["STORE_FORMAT", "ImportFacts"]

STORE_FORMAT: Final = "actstore"
"""Stands for the format of files if the rows were copied from another store, and written anew."""


class ImportFacts(Document):
    """Where the rows of an imported store come from, and what is known of them."""

    format: str = Field(pattern=r"^[a-z0-9]{1,20}$")
    """Format of the files, as `actstore import --format` names it; `actstore` for rows of another store."""
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 over all files: path, NUL, size, NUL, SHA-256 (hex), LF for each, in order of their paths. For rows of
    another store, the digest of its manifest."""
    known: tuple[Knowable, ...]
    """What the files or the store say of their rows; the rest is unknown."""

    @field_validator("known")
    @classmethod
    def _in_order(cls, known: tuple[Knowable, ...]) -> tuple[Knowable, ...]:
        if known != tuple(what for what in KNOWABLE if what in known):
            raise ValueError(f"known is some of {', '.join(KNOWABLE)}, in this order")
        return known

    @property
    def unknown(self) -> tuple[Knowable, ...]:
        """What the files leave open."""
        return tuple(what for what in KNOWABLE if what not in self.known)

    @property
    def from_store(self) -> bool:
        """Whether the rows were copied from another store, encoded as they were there."""
        return self.format == STORE_FORMAT

    @property
    def summary(self) -> str:
        """One line for people."""
        origin = f"from the store with manifest {self.digest}" if self.from_store else f"from {self.format} files"
        return f"{origin}; unknown: {', '.join(self.unknown) or 'nothing'}"
