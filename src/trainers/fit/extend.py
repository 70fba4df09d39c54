"""Go on under the plan of a checkpoint, also past its end."""

from __future__ import annotations

from typing import Final

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.fit.schedule import plateau_factor

__all__ = ["EXTENDED", "continued_plan"]

EXTENDED: Final = frozenset({"steps", "rows", "decay_steps", "dead_after_rows", "restart_step", "restart_factor"})
"""Fields of a plan that change if a run is made longer."""
_PAST: Final = ("warmup_steps", "sparsity_warmup_steps")


def continued_plan(saved: TrainPlan, wanted: TrainPlan, *, step: int) -> TrainPlan:
    """Return the plan under which a run goes on: the one of its checkpoint, or one with more steps.

    A longer run has the schedule of a run that was as long from its beginning, except for the warm-ups, which are past.
    If the learning rate was falling already, it rises again, linearly from where it was, in as many steps as the
    warm-up took.

    Parameters
    ----------
    saved
        The plan of the checkpoint.
    wanted
        The plan that the options give now.
    step
        Steps done.

    Raises
    ------
    UsageError
        If fewer steps are wanted than were planned.
    """
    if wanted.steps < saved.steps:
        raise errors.UsageError(
            f"--steps {wanted.steps}: the run was planned with {saved.steps:,} steps, and the learning rate follows "
            f"from them; a run can be made longer, not shorter. To stop now use the checkpoint of step {step:,}"
        )
    past = {field: getattr(saved, field) for field in _PAST}
    if wanted.steps == saved.steps:
        restart = {"restart_step": saved.restart_step, "restart_factor": saved.restart_factor}
    else:
        restart = {"restart_step": step, "restart_factor": plateau_factor(saved, step)}
    return wanted.model_copy(update=past | restart)
