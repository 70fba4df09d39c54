import pytest

from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.plan import TrainPlan
from trainers.fit.schedule import learning_rate, sparsity_factor


@pytest.fixture
def plan(one_site: Planted) -> TrainPlan:
    stream = stream_of(one_site.values_NSD)
    return plan_of(stream, dictionary="relu-sae", steps=100, lr=1.0, warmup_share=0.1, decay_share=0.2)


def test_the_learning_rate_rises_stays_and_falls(plan: TrainPlan) -> None:
    rates = [learning_rate(plan, rows) for rows in range(0, plan.rows, plan.batch_rows)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(rates[10:81]) == {1.0}
    assert rates[81:] == pytest.approx([left / 20 for left in range(19, 0, -1)])


def test_the_penalty_rises_and_stays(plan: TrainPlan) -> None:
    factors = [sparsity_factor(plan, rows) for rows in range(0, plan.rows, plan.batch_rows)]
    assert factors[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(factors[10:]) == {1.0}


def test_the_shape_follows_the_rows_whatever_the_batches(one_site: Planted) -> None:
    """Short last batches and another size of batch move nothing; a run of other length has the same shape."""
    options = {"lr": 1.0, "warmup_share": 0.1, "decay_share": 0.2}
    small, large = (
        plan_of(stream_of(one_site.values_NSD[:8000], batch_rows=rows), steps=80_000 // rows, **options)
        for rows in (100, 1000)
    )
    longer = plan_of(stream_of(one_site.values_NSD[:8000], batch_rows=100), steps=8000, **options)
    assert small.rows == large.rows == longer.rows // 10 == 80_000
    for share in (0.0, 0.05, 0.3, 0.79, 0.85, 0.95, 0.99):
        rate = learning_rate(small, round(share * small.rows))
        assert learning_rate(large, round(share * large.rows)) == pytest.approx(rate, abs=0.15 if share < 0.1 else 1e-9)
        assert learning_rate(longer, round(share * longer.rows)) == pytest.approx(rate, abs=0.02)


def test_a_run_of_one_step_has_the_full_rate(one_site: Planted) -> None:
    plan = plan_of(stream_of(one_site.values_NSD), steps=1, lr=1.0)
    assert learning_rate(plan, 0) == 1.0
