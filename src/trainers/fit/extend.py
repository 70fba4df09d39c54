"""Go on under the plan of a checkpoint, also past its end, or to an earlier one."""

from __future__ import annotations

import math
from typing import Final

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.fit.schedule import plateau_factor

__all__ = ["OF_LENGTH", "continued_plan"]

OF_LENGTH: Final = frozenset({"steps", "rows", "decay_rows", "restart_rows", "restart_factor"})
"""Fields of a plan that change if a run is made longer or shorter."""
_KEPT: Final = ("warmup_rows", "sparsity_warmup_rows", "dead_after_rows", "encoder_rate")
"""Fields that follow from the length of a run and stay those of its first plan."""


def continued_plan(saved: TrainPlan, wanted: TrainPlan, *, rows: int) -> TrainPlan:
    """Return the plan under which a run goes on: the one of its checkpoint, or one with more or fewer steps.

    From here on, the run has the schedule of a run that was as long from its beginning, except for the warm-ups, which
    are past. If the learning rate was falling already, it rises again, linearly from where it was, in as many rows
    as the warm-up took.

    Parameters
    ----------
    saved
        The plan of the checkpoint.
    wanted
        The plan that the options give now.
    rows
        Rows trained on.

    Raises
    ------
    UsageError
        If so few steps are wanted that the learning rate would have to be falling already: the schedule would have
        another shape.
    """
    kept = {field: getattr(saved, field) for field in _KEPT}
    if wanted.steps == saved.steps:
        restart = {"restart_rows": saved.restart_rows, "restart_factor": saved.restart_factor}
    else:
        _refuse_late(saved, wanted, rows=rows)
        restart = {"restart_rows": rows, "restart_factor": plateau_factor(saved, rows)}
    return wanted.model_copy(update=kept | restart)


def _refuse_late(saved: TrainPlan, wanted: TrainPlan, *, rows: int) -> None:
    falls_from = wanted.rows - wanted.decay_rows
    if wanted.steps > saved.steps or rows <= falls_from:
        return
    share = 1.0 - saved.decay_rows / saved.rows
    least = math.inf if share <= 0 else math.ceil(rows / share * saved.steps / saved.rows) + 1
    enough = f"give --steps {least} or more" if least < saved.steps else f"leave the run at its {saved.steps:,} steps"
    raise errors.UsageError(
        f"--steps {wanted.steps}: {rows:,} rows are done, and in a run of {wanted.steps:,} steps the learning rate "
        f"falls from row {max(0, falls_from):,} on, so the schedule would lose its shape; {enough}, or go on from an "
        "earlier checkpoint with --out"
    )
