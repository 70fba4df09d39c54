"""Decide what `compressor = "auto"` means for one store, before it is frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.progress import Progress
from actstore.contracts.sequences import ResidueSource
from actstore.contracts.tasks import RowSource
from actstore.extract.threads import LoneThreads
from actstore.store.plan.tasks import Plan
from actstore.store.write.compression import best_compressor, measure_compressors
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["PlanOrder", "choose_compressor"]


@dataclass(frozen=True, slots=True, eq=False)
class PlanOrder:
    """A corpus in the order in which a plan numbers its sequences; a `ResidueSource`."""

    corpus: ResidueSource
    order_N: NDArray[np.int64]
    """Index into the corpus of each sequence of the plan."""

    def residues(self, sequence: int) -> str:
        """Return the upper-case residues of one sequence."""
        return self.corpus.residues(int(self.order_N[sequence]))

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence."""
        return self.corpus.sequence_id(int(self.order_N[sequence]))


def choose_compressor(frozen: FrozenRecipe, plan: Plan, rows: RowSource, *, progress: Progress) -> FrozenRecipe:
    """Compress the first task in memory, and return the recipe to freeze, with the best compressor.

    The choice costs one extra task: the rows of the first task are taken again when it is written.

    Parameters
    ----------
    frozen
        Everything else that the recipe resolved to, calibration included.
    plan
        Its first task is compressed.
    rows
        Gives the rows of the plan.
    progress
        Where to report.

    Raises
    ------
    NumericsError
        If the encoding cannot hold a row.
    """
    task = plan.task(0)
    with (
        progress.stage("choosing a compressor", total=task.rows, unit="rows") as stage,
        LoneThreads() as threads,
    ):
        facts = measure_compressors(frozen, task, rows.task_rows(task, parallel=threads.map, on_rows=stage.advance))
    return frozen.compressed_by(best_compressor(facts), facts=facts)
