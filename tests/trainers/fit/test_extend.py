"""A run can be made longer, also after its end, and shorter, as long as its schedule keeps its shape."""

import itertools

import pytest

from actstore import errors
from trainers.fit.config import make_config
from trainers.fit.extend import continued_plan
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.fit.schedule import learning_rate

BATCH = 100
FACTS = StreamFacts(sites=("a",), width=32, rows=1_000_000, batch_rows=BATCH, batches_per_epoch=10_000)


def plan_of(steps: int) -> TrainPlan:
    return plan_training(make_config({"steps": steps, "lr": 1.0}), FACTS)


def rates(plan: TrainPlan, start: int = 0) -> list[float]:
    return [learning_rate(plan, step * BATCH) for step in range(start, plan.steps)]


def test_the_same_steps_change_nothing() -> None:
    plan = plan_of(1000)
    assert continued_plan(plan, plan_of(1000), rows=30_000) == plan
    longer = continued_plan(plan, plan_of(2000), rows=30_000)
    assert continued_plan(longer, plan_of(2000), rows=50_000) == longer


def test_a_run_made_longer_before_its_rate_fell_has_the_plateau_and_fall_of_a_longer_run() -> None:
    longer = continued_plan(plan_of(1000), plan_of(2000), rows=50_000)
    assert rates(longer, 500) == rates(plan_of(2000), 500)
    assert longer.rows == plan_of(2000).rows


def test_after_its_end_the_rate_rises_again_as_in_the_warm_up_and_then_falls_to_zero() -> None:
    plan = plan_of(1000)
    longer = continued_plan(plan, plan_of(2000), rows=100_000)
    again, warm_up = rates(longer, 1000), plan.warmup_rows // BATCH
    assert again[0] == pytest.approx(1 / warm_up)
    assert again[warm_up - 1 : 600] == [1.0] * (601 - warm_up)
    assert again[-1] == pytest.approx(BATCH / longer.decay_rows)
    steps = [after - before for before, after in itertools.pairwise(again)]
    assert max(map(abs, steps)) <= 1 / warm_up + 1e-9


def test_within_the_fall_it_rises_from_where_it_was() -> None:
    plan = plan_of(1000)
    longer = continued_plan(plan, plan_of(3000), rows=90_000)
    assert plan.lr / 2 == learning_rate(plan, 90_000) < learning_rate(longer, 90_000) < 0.52


def test_where_it_was_made_longer_is_part_of_the_plan() -> None:
    longer = continued_plan(plan_of(1000), plan_of(3000), rows=90_000)
    assert (longer.restart_rows, longer.restart_factor) == (90_000, 0.5)


def test_what_follows_from_the_length_and_is_in_use_stays() -> None:
    """So dead means the same before and after, and no rate jumps."""
    plan = plan_of(1000)
    longer = continued_plan(plan, plan_of(5000), rows=90_000)
    assert plan_of(5000).encoder_rate < plan.encoder_rate
    for field in ("dead_after_rows", "encoder_rate", "warmup_rows", "sparsity_warmup_rows"):
        assert getattr(longer, field) == getattr(plan, field)


def test_a_run_made_shorter_has_the_plateau_and_fall_of_a_shorter_run() -> None:
    shorter = continued_plan(plan_of(1000), plan_of(500), rows=40_000)
    assert rates(shorter, 400) == rates(plan_of(500), 400)
    assert (shorter.steps, shorter.rows) == (500, 50_000)


@pytest.mark.parametrize("rows", [40_100, 60_000, 95_000])
def test_a_run_cannot_be_made_so_short_that_its_rate_would_jump(rows: int) -> None:
    message = rf"--steps 500: {rows:,} rows are done, .* falls from row 40,000 on, .* lose its shape; (give|leave)"
    with pytest.raises(errors.UsageError, match=message):
        continued_plan(plan_of(1000), plan_of(500), rows=rows)


def test_the_error_names_steps_that_are_enough() -> None:
    plan = plan_of(1000)
    with pytest.raises(errors.UsageError, match="give --steps 753 or more"):
        continued_plan(plan, plan_of(500), rows=60_000 + BATCH)
    assert continued_plan(plan, plan_of(753), rows=60_000 + BATCH).steps == 753
    with pytest.raises(errors.UsageError, match="leave the run at its 1,000 steps"):
        continued_plan(plan, plan_of(500), rows=85_000)
