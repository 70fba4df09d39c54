import math

import numpy as np
import pytest

from trainers.fit.health import Health, HealthRecord


def after(*stretches: tuple[int, float], steps: int = 400) -> Health:
    health = Health(steps=steps)
    step = 0
    for count, explained in stretches:
        for _ in range(count):
            step += 1
            if health.fallen is None:
                health.add(step, explained)
    return health


@pytest.mark.parametrize("lost", [-5.0, 0.01, math.nan, -math.inf])
def test_a_run_that_loses_what_it_explained_has_fallen_apart(lost: float) -> None:
    health = after((100, 0.8), (100, lost))
    assert health.fallen is not None
    assert health.fallen[0] == 0.8
    assert health.last_good_step == 100


@pytest.mark.parametrize("stopped_at", [7, 100, 113])
def test_a_resumed_run_judges_as_if_it_had_never_stopped(stopped_at: int) -> None:
    explained = [0.8] * 100 + [0.01] * 100
    whole = after(*((1, value) for value in explained))
    before = after(*((1, value) for value in explained[:stopped_at]))
    kept = HealthRecord.model_validate_json(before.record.model_dump_json())
    resumed = Health(steps=400, before=kept)
    for step, value in enumerate(explained[stopped_at:], start=stopped_at + 1):
        if resumed.fallen is None:
            resumed.add(step, value)
    assert resumed.fallen == whole.fallen == (0.8, 0.01)
    assert (resumed.best, resumed.last_good_step) == (whole.best, whole.last_good_step) == (0.8, 100)


def test_what_is_kept_is_finite() -> None:
    assert after((3, 0.8), (2, math.nan), (1, -math.inf)).record.recent == (0.8, 0.8, 0.8)


def test_a_spike_is_not_the_end() -> None:
    assert after((105, 0.8), (8, -50.0), (100, 0.8)).fallen is None


def test_a_penalty_that_rises_may_cost_much() -> None:
    assert after((100, 0.95), (300, 0.3)).fallen is None


def test_a_bad_beginning_is_not_a_loss() -> None:
    health = after((100, -0.3), (100, -0.5), (100, 0.7))
    assert health.fallen is None
    assert health.last_good_step == 300


def test_noise_about_a_level_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    health = after(*((1, 0.3 + 0.1 * rng.standard_normal()) for _ in range(2000)), steps=2000)
    assert health.fallen is None
