"""Several stores as one: how their tasks and sequences are numbered together. T is the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from actstore.contracts.recipe import MOST_INTEGER
from actstore.store.format.vectors import Document
from actstore.store.write.facts import SplitFacts

__all__ = ["MOST_MEMBERS", "MemberFacts", "TaskTable", "number_tasks"]

MOST_MEMBERS: Final = 64
"""Stores of a merge."""


class MemberFacts(Document):
    """A store that is one of several."""

    recipe_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sequences: Annotated[int, Field(ge=0, le=MOST_INTEGER)]
    splits: dict[str, SplitFacts]
    """Its splits as far as they are here, with its own numbers of tasks."""


class TaskTable(NamedTuple):
    """The tasks of several stores under common numbers: split by split, and in each store by store."""

    splits: dict[str, SplitFacts]
    member_T: NDArray[np.int64]
    """The store of each task."""
    local_T: NDArray[np.int64]
    """The number of each task in its store."""
    rows_T: NDArray[np.int64]
    sequences_M: NDArray[np.int64]
    """Sequences of each store."""
    first_sequence_M: NDArray[np.int64]
    """The number of the first sequence of each store."""

    def common(self, member: int, local_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the common numbers of tasks of one store; -1 for those that are not here."""
        here = np.flatnonzero(self.member_T == member)
        known = self.local_T[here]
        order = np.argsort(known)
        place_N = np.minimum(np.searchsorted(known[order], local_N), len(known) - 1)
        found_N = here[order][place_N]
        return np.where(self.local_T[found_N] == local_N, found_N, -1)


def number_tasks(members: Sequence[MemberFacts], task_rows: int) -> TaskTable:
    """Give common numbers to the tasks of several stores.

    Splits come in the order `train`, then by name, as in a recipe; only the last task of a split of a store is short.
    """
    names = sorted({name for member in members for name in member.splits}, key=lambda name: (name != "train", name))
    splits: dict[str, SplitFacts] = {}
    member, local, rows = (list[int]() for _ in range(3))
    for name in names:
        first = len(member)
        for index, facts in enumerate(members):
            split = facts.splits.get(name)
            if split is None:
                continue
            member += [index] * split.tasks
            local += range(split.first_task, split.first_task + split.tasks)
            rows += [min(task_rows, split.rows - task * task_rows) for task in range(split.tasks)]
        splits[name] = SplitFacts(
            sequences=sum(facts.splits[name].sequences for facts in members if name in facts.splits),
            rows=sum(rows[first:]),
            first_task=first,
            tasks=len(member) - first,
        )
    sequences = np.array([facts.sequences for facts in members], dtype=np.int64)
    return TaskTable(
        splits,
        np.array(member, dtype=np.int64),
        np.array(local, dtype=np.int64),
        np.array(rows, dtype=np.int64),
        sequences,
        sequences.cumsum() - sequences,
    )
