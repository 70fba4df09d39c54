import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, TrainPlan, plan_streaming, plan_training

THREE_SITES = StreamFacts(sites=("a", "b", "c"), width=128, rows=10_500, batch_rows=1000, batches_per_epoch=11)
ONE_SITE = replace(THREE_SITES, sites=("a",))


def plan(stream: StreamFacts = ONE_SITE, **options: Any) -> TrainPlan:
    return plan_training(TrainConfig.model_validate(options), stream)


def test_without_steps_it_is_one_pass_through_the_split() -> None:
    assert (plan().steps, plan().rows) == (11, 10_500)


def test_steps_beyond_an_epoch_count_its_short_last_batch() -> None:
    assert plan(steps=25).rows == 2 * 10_500 + 3 * 1000


def test_streaming_alone_plans_the_rows_that_training_would_read() -> None:
    """Whatever the dictionary: several sites are no fault."""
    for steps in (None, 25):
        streaming = plan_streaming(TrainConfig(steps=steps, split="valid"), THREE_SITES)
        training = plan(steps=steps)
        assert (streaming.batches, streaming.rows) == (training.steps, training.rows)
        assert (streaming.sites, streaming.split, streaming.order) == (("a", "b", "c"), "valid", "windows")


def test_the_order_of_rows_is_part_of_the_plan() -> None:
    """So a run does not resume in another order."""
    assert plan().order == "windows"
    assert plan(order="uniform") == plan().model_copy(update={"order": "uniform"})
    with pytest.raises(ValidationError, match="order"):
        plan(order="sorted")


def test_latents_are_an_expansion_of_the_features_of_a_site() -> None:
    assert plan().latents == 1024
    assert plan(THREE_SITES, dictionary="crosscoder-topk", expansion=4).latents == 512
    assert plan(latents=77).latents == 77


def test_the_learning_rate_falls_with_the_root_of_the_dictionary() -> None:
    assert plan().lr == pytest.approx(5e-3)
    assert plan(latents=4096).lr == pytest.approx(2.5e-3)
    assert plan(lr=0.5).lr == 0.5


def test_the_coefficient_of_a_penalty_is_the_same_for_any_scale_and_any_number_of_sites() -> None:
    l1 = plan(THREE_SITES, dictionary="crosscoder-l1").sparsity
    l2 = plan(THREE_SITES, dictionary="crosscoder-l2").sparsity
    long_rows = plan(dictionary="relu-sae", normalisation="sqrt_d").sparsity
    assert l1 == l2 == long_rows == plan(dictionary="relu-sae").sparsity == 0.06
    assert plan(dictionary="relu-sae", sparsity=0.2).sparsity == 0.2


def test_the_encoder_has_a_lower_rate_in_longer_runs() -> None:
    assert plan().encoder_rate == plan(steps=1000).encoder_rate == 0.25
    assert plan(steps=2000).encoder_rate == pytest.approx(0.25 / math.sqrt(2))
    assert plan(steps=1_000_000).encoder_rate == 0.0625
    assert plan(encoder_rate=0.5).encoder_rate == 0.5


def test_dead_latents_are_told_by_how_rare_they_would_be_but_not_too_soon_or_late() -> None:
    assert plan(k=32).dead_after_rows == 320 * 1024 / 32
    assert plan(k=16, steps=1_000_000).dead_after_rows == 320 * 1024 / 16
    assert plan(k=100).dead_after_rows == 10 * 1000
    assert plan(latents=1 << 20, k=8).dead_after_rows == 10_000_000
    assert plan(dead_after_rows=5).dead_after_rows == 5


def test_an_sae_of_several_sites_lists_the_sites() -> None:
    with pytest.raises(errors.UsageError, match=r"topk-sae reads one site, not 3; choose one with --site: a, b, c"):
        plan(THREE_SITES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latents": 16}, "k = 32 of only 16 latents"),
        ({"sparsity": 0.1}, "no sparsity coefficient"),
        ({"dictionary": "relu-sae", "k": 8}, "keeps no fixed number of latents; set --sparsity"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        plan(**options)


def test_a_split_without_rows_is_refused() -> None:
    empty = replace(ONE_SITE, rows=0, batches_per_epoch=0)
    with pytest.raises(errors.UsageError, match="split 'train' has no rows"):
        plan(empty)
