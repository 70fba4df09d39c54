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
    rates = [learning_rate(plan, step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(rates[10:81]) == {1.0}
    assert rates[81:] == pytest.approx([left / 20 for left in range(19, 0, -1)])


def test_the_penalty_rises_and_stays(plan: TrainPlan) -> None:
    factors = [sparsity_factor(plan, step) for step in range(100)]
    assert factors[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert set(factors[10:]) == {1.0}


def test_a_run_of_one_step_has_the_full_rate(one_site: Planted) -> None:
    plan = plan_of(stream_of(one_site.values_NSD), steps=1, lr=1.0)
    assert learning_rate(plan, 0) == 1.0
