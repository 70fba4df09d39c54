"""Factors of learning rate and penalty at each step, as pure functions of the step."""

from __future__ import annotations

from trainers.fit.plan import TrainPlan

__all__ = ["learning_rate", "plateau_factor", "sparsity_factor"]


def learning_rate(plan: TrainPlan, step: int) -> float:
    """Return the learning rate of 0-based `step`: linear rise, plateau, linear fall that would reach 0 at `steps`."""
    rise = (step + 1) / plan.warmup_steps if step < plan.warmup_steps else 1.0
    return plan.lr * min(rise, plateau_factor(plan, step))


def plateau_factor(plan: TrainPlan, step: int) -> float:
    """Return the factor without the warm-up: the fall at the end, and the rise after a run was made longer."""
    left = plan.steps - step
    fall = left / plan.decay_steps if left < plan.decay_steps else 1.0
    risen = min(1.0, (step - plan.restart_step + 1) / max(1, plan.warmup_steps))
    return min(fall, plan.restart_factor + (1.0 - plan.restart_factor) * risen)


def sparsity_factor(plan: TrainPlan, step: int) -> float:
    """Return the factor of the penalty at 0-based `step`: linear rise to 1."""
    return (step + 1) / plan.sparsity_warmup_steps if step < plan.sparsity_warmup_steps else 1.0
