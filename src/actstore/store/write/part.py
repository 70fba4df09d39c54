"""A part of a store: some of its sites, and the first tasks of its splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from actstore.contracts.recipe import MOST_INTEGER
from actstore.errors import UsageError
from actstore.store.format.vectors import Document
from actstore.store.write.imported import ImportFacts

__all__ = ["PartFacts", "how_to_finish", "refuse_part"]


class PartFacts(Document):
    """What a copy, or the manifest of a part, has of the store that its recipe describes.

    Tasks keep their numbers and objects, so a commit of the store is the commit of each part. The plan has put the
    sequences in random order, so the first tasks of a split are as fair a sample of it as any others.
    """

    sites: tuple[str, ...] | None = None
    """Names of the sites, in stored order; None for all."""
    tasks: dict[str, Annotated[int, Field(ge=1, le=MOST_INTEGER)]] | None = None
    """Number of first tasks of each split; splits that are not named are left out. None for all tasks."""

    @property
    def or_none(self) -> PartFacts | None:
        """The part, or None if it is the whole."""
        return None if self.sites is None and self.tasks is None else self

    def problem(self, sites: Sequence[str], tasks: Mapping[str, int]) -> str | None:
        """Return why this is no part of a store, else None.

        Parameters
        ----------
        sites, tasks
            Names of the sites of the store, and number of tasks of each of its splits.
        """
        if self.sites is None and self.tasks is None:
            return "a part has sites or tasks"
        if self.sites is not None and (not self.sites or list(self.sites) != [s for s in sites if s in self.sites]):
            return "the sites of a part are some of those of the store, in their order"
        if self.tasks is not None and not self.tasks:
            return "a part without tasks"
        for split, count in (self.tasks or {}).items():
            if not count <= tasks.get(split, 0):
                return f"a part with {count:,} tasks of a split that has {tasks.get(split, 0):,}"
        return None


def how_to_finish(part: PartFacts | None, imported: ImportFacts | None) -> str:
    """Return the command that gives a store the tasks that it lacks."""
    if part is not None:
        return "the 'actstore copy' that made it"
    if imported is None:
        return "'actstore extract'"
    return f"the 'actstore {'copy --sequences' if imported.from_store else 'import'}' that began it"


def refuse_part(part: PartFacts | None, *, uri: str) -> None:
    """Refuse to extract into a part of a store: the other sites and tasks would be missing in what is written.

    Raises
    ------
    UsageError
        If it is a part.
    """
    if part is not None:
        raise UsageError(
            f"{uri} is a part of a store: its rows are copied, not computed; repeat the 'actstore copy' that made it "
            "(with --check if it is damaged), or extract the whole store to another place"
        )
