"""Factors of learning rate and penalty, as pure functions of the rows trained on."""

from __future__ import annotations

from trainers.fit.plan import TrainPlan

__all__ = ["learning_rate", "plateau_factor", "sparsity_factor"]


def learning_rate(plan: TrainPlan, rows: int) -> float:
    """Return the learning rate of the step after `rows`: linear rise, plateau, linear fall that would end at 0."""
    return plan.lr * min(_risen(rows, plan, of=plan.warmup_rows), plateau_factor(plan, rows))


def plateau_factor(plan: TrainPlan, rows: int) -> float:
    """Return the factor without the warm-up: the fall at the end, and the rise after a run was made longer."""
    left = plan.rows - rows
    fall = left / plan.decay_rows if left < plan.decay_rows else 1.0
    risen = _risen(rows - plan.restart_rows, plan, of=plan.warmup_rows)
    return min(fall, plan.restart_factor + (1.0 - plan.restart_factor) * risen)


def sparsity_factor(plan: TrainPlan, rows: int) -> float:
    """Return the factor of the penalty in the step after `rows`: linear rise to 1."""
    return _risen(rows, plan, of=plan.sparsity_warmup_rows)


def _risen(rows: int, plan: TrainPlan, *, of: int) -> float:
    """Return the height of a rise over `of` rows at the end of the batch that comes after `rows`."""
    after = rows + plan.batch_rows
    return after / of if after < of else 1.0
