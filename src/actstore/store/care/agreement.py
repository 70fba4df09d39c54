"""Compare `sequences.parquet` with the recipe, and give the plan of the rows that both imply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.sequences import SequenceTable
from actstore.corpus.splits import assign_splits
from actstore.errors import CorpusError, CorruptObjectError, MissingObjectError
from actstore.store.care.contents import PlannedColumns
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences

__all__ = ["StoredPlan", "stored_plan"]


@dataclass(frozen=True, slots=True, eq=False)
class StoredPlan:
    """The plan of a store, from its recipe and its sequences."""

    problems: tuple[str, ...]
    """How the sequences disagree with the recipe, or why they cannot be read."""
    _plan: Plan | None
    _sequences: StoredSequences | None

    def columns(self, task: int) -> PlannedColumns | None:
        """Return the residues of the rows of a task; None if recipe and sequences give no common plan."""
        if self._plan is None:
            return None
        planned = self._plan.task(task)
        counts = [len(piece.position_K) for piece in planned.pieces]
        sequence_N = np.repeat([piece.sequence for piece in planned.pieces], counts).astype(np.int64)
        position_N = np.concatenate([piece.position_K for piece in planned.pieces]).astype(np.int32)
        letter_N = None
        if self._sequences is not None:
            letters = [self._letters(piece.sequence)[piece.position_K] for piece in planned.pieces]
            letter_N = np.concatenate(letters)[planned.order_N]
        return PlannedColumns(sequence_N[planned.order_N], position_N[planned.order_N], letter_N)

    def _letters(self, sequence: int) -> NDArray[np.uint8]:
        assert self._sequences is not None  # noqa: S101 - `columns` asks only then
        return np.frombuffer(self._sequences.residues(sequence).encode(), dtype=np.uint8)


@contextmanager
def stored_plan(objects: ObjectStore, frozen: FrozenRecipe) -> Iterator[StoredPlan]:
    """Read the sequences of a store and compare them with its recipe; the residues stay readable meanwhile.

    Parameters
    ----------
    objects, frozen
        The store; its sequences have the digest that the recipe says.
    """
    with ExitStack() as stack:
        try:
            sequences = stack.enter_context(StoredSequences(objects))
            table = sequences.table(frozen.split_names)
            plan = plan_tasks(table, frozen.row_rules)
        except (CorruptObjectError, MissingObjectError, CorpusError) as error:
            yield StoredPlan((str(error),), None, None)
            return
        problems = list(_differences(table, plan, frozen))
        # Rows are those of the plan only if it has the tasks and rows of the recipe.
        same = not problems or plan.digest() == frozen.plan_sha256
        try:
            rows_N = sequences.check()
        except CorruptObjectError as error:
            problems.append(str(error))
            yield StoredPlan(tuple(problems), plan if same else None, None)
            return
        if not np.array_equal(rows_N, plan.kept_N):
            problems.append("its numbers of rows are not those of the plan")
        yield StoredPlan(tuple(problems), plan if same else None, sequences)


def _differences(table: SequenceTable, plan: Plan, frozen: FrozenRecipe) -> Iterator[str]:
    """Yield how sequences and recipe disagree."""
    recipe, corpus = frozen.recipe, frozen.corpus
    residues = int(table.length_N.sum(dtype=np.int64))
    if (len(table), residues) != (corpus.sequences, corpus.residues):
        yield (
            f"has {len(table):,} sequences with {residues:,} residues, the recipe says {corpus.sequences:,} with "
            f"{corpus.residues:,}"
        )
    for split in plan.splits:
        said = frozen.splits.get(split.name)
        found = (split.sequences, split.rows, split.first_task, split.tasks)
        if said is None or found != (said.sequences, said.rows, said.first_task, said.tasks):
            yield f"gives {split.name} {split.rows:,} rows of {split.sequences:,} sequences, unlike the recipe"
    if foreign := frozen.splits.keys() - {split.name for split in plan.splits}:
        yield f"has no split {printable(', '.join(sorted(foreign)))}, which the recipe has"
    if (table.cluster_N is None) != (recipe.splits.clusters is None):
        yield f"has {'a' if table.cluster_N is not None else 'no'} column 'cluster', unlike the recipe"
    elif not _are_drawn(table, frozen):
        of = "ids" if table.cluster_N is None else "clusters"
        yield f"has sequences in other splits than the ones that the recipe draws for their {of}"
    if not np.array_equal(sequence_order(table, seed=recipe.seed), np.arange(len(table))):
        yield "is not in the order that the recipe gives"
    if plan.digest() != frozen.plan_sha256:
        yield "does not give the plan that the recipe was frozen with"


def _are_drawn(table: SequenceTable, frozen: FrozenRecipe) -> bool:
    recipe = frozen.recipe
    drawn_N = assign_splits(table.id_hash_N, recipe.splits.fractions, seed=recipe.seed, cluster_hash_N=table.cluster_N)
    return np.array_equal(drawn_N, table.split_N)
