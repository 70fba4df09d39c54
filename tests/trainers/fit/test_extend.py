"""A run can be made longer, also after its end."""

import itertools

import pytest

from actstore import errors
from trainers.fit.config import make_config
from trainers.fit.extend import continued_plan
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.fit.schedule import learning_rate

FACTS = StreamFacts(sites=("a",), width=32, rows=1_000_000, batch_rows=100, batches_per_epoch=10_000)


def plan_of(steps: int) -> TrainPlan:
    return plan_training(make_config({"steps": steps, "lr": 1.0}), FACTS)


def rates(plan: TrainPlan, start: int = 0) -> list[float]:
    return [learning_rate(plan, step) for step in range(start, plan.steps)]


def test_the_same_steps_change_nothing() -> None:
    plan = plan_of(1000)
    assert continued_plan(plan, plan_of(1000), step=300) == plan
    longer = continued_plan(plan, plan_of(2000), step=300)
    assert continued_plan(longer, plan_of(2000), step=500) == longer


def test_a_run_made_longer_before_its_rate_fell_has_the_plateau_and_fall_of_a_longer_run() -> None:
    longer = continued_plan(plan_of(1000), plan_of(2000), step=500)
    assert rates(longer, 500) == rates(plan_of(2000), 500)
    assert longer.rows == plan_of(2000).rows


def test_after_its_end_the_rate_rises_again_as_in_the_warm_up_and_then_falls_to_zero() -> None:
    plan = plan_of(1000)
    longer = continued_plan(plan, plan_of(2000), step=1000)
    again = rates(longer, 1000)
    assert again[0] == pytest.approx(1 / plan.warmup_steps)
    assert again[plan.warmup_steps - 1 : 600] == [1.0] * (601 - plan.warmup_steps)
    assert again[-1] == pytest.approx(1 / longer.decay_steps)
    steps = [after - before for before, after in itertools.pairwise(again)]
    assert max(map(abs, steps)) <= 1 / plan.warmup_steps + 1e-9


def test_within_the_fall_it_rises_from_where_it_was() -> None:
    plan = plan_of(1000)
    longer = continued_plan(plan, plan_of(3000), step=900)
    assert plan.lr / 2 == learning_rate(plan, 900) < learning_rate(longer, 900) < 0.52


def test_a_run_cannot_be_made_shorter() -> None:
    with pytest.raises(errors.UsageError, match=r"--steps 500: the run was planned with 1,000 steps.*not shorter"):
        continued_plan(plan_of(1000), plan_of(500), step=300)
