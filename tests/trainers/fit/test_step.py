import math

import numpy as np
import pytest
import torch

from actstore import Silent, errors
from tests.trainers.in_memory import plan_of, state_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.initialise import ADAM_BETAS
from trainers.fit.step import train_step
from trainers.score.evaluate import evaluate


def test_loss_falls_and_the_report_adds_up(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="relu-sae", steps=50)
    state = state_of(stream, plan)
    values_BSD = torch.from_numpy(one_site.values_NSD[:512])
    reports = [train_step(state, values_BSD, plan) for _ in range(50)]
    assert reports[-1].terms["reconstruction"] < 0.5 * reports[0].terms["reconstruction"]
    last = reports[-1]
    assert (last.step, last.rows) == (50, 50 * 512)
    assert last.loss == pytest.approx(sum(last.terms.values()), rel=1e-5)


def test_the_explained_variance_of_a_batch_is_that_of_a_score_on_its_rows(three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    plan = plan_of(stream, dictionary="crosscoder-topk", k=4, steps=10)
    state = state_of(stream, plan)
    batch_NSD = three_sites.values_NSD[:300]
    score = evaluate(state.dictionary, stream_of(batch_NSD), scale_S=state.scale_S, max_rows=300, progress=Silent())
    report = train_step(state, torch.from_numpy(batch_NSD), plan)
    assert report.batch_explained_variance == pytest.approx(score.explained_variance, rel=1e-4)
    assert report.batch_explained_variance_per_site == pytest.approx(score.explained_variance_per_site, rel=1e-4)
    assert report.batch_l0 == score.l0


def test_a_batch_of_one_row_explains_nothing_and_trains(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, steps=10, dead_after_rows=1)
    state = state_of(stream, plan)
    state.idle_rows_F += 1
    report = train_step(state, torch.from_numpy(one_site.values_NSD[:1]), plan)
    assert report.batch_explained_variance is None
    assert 0 < report.terms["auxk"] < 100 * plan.auxk_weight


@pytest.mark.parametrize("name", ["topk-sae", "relu-sae"])
def test_decoder_rows_of_an_sae_stay_at_norm_one(name: str, one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary=name, steps=10)
    state = state_of(stream, plan)
    for start in range(0, 5120, 512):
        train_step(state, torch.from_numpy(one_site.values_NSD[start : start + 512]), plan)
    torch.testing.assert_close(state.dictionary.W_dec.norm(dim=1), torch.ones(plan.latents))


def test_momentum_does_not_stretch_the_decoder_of_an_sae(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="relu-sae", steps=10)
    state = state_of(stream, plan)
    before_FD = state.dictionary.W_dec.detach().clone()
    train_step(state, torch.from_numpy(one_site.values_NSD[:512]), plan)
    moment_FD = state.optimizer.state[state.dictionary.W_dec]["exp_avg"]
    assert float((before_FD * moment_FD).sum(dim=1).abs().max()) < 1e-6 * float(moment_FD.norm(dim=1).max()) + 1e-9


def test_each_weight_moves_in_proportion_to_its_size(three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    plan = plan_of(stream, dictionary="crosscoder-l2", steps=1, lr=0.003, normalisation="sqrt_d")
    state = state_of(stream, plan)
    before = {name: weight.detach().clone() for name, weight in state.dictionary.named_parameters()}
    train_step(state, torch.from_numpy(three_sites.values_NSD[:512]), plan)
    after = dict(state.dictionary.named_parameters())
    moved = {name: (after[name].detach() - before[name]).abs().max().item() for name in before}
    spread = math.sqrt(state.variance)
    assert moved["W_enc"] == pytest.approx(plan.encoder_rate * 0.003 / math.sqrt(3), rel=1e-2)
    assert moved["W_dec"] == pytest.approx(0.003 / math.sqrt(3), rel=1e-2)
    assert moved["b_enc"] == pytest.approx(plan.encoder_rate * 0.003 * spread, rel=1e-2)
    assert moved["b_dec"] == pytest.approx(0.003 * spread / math.sqrt(3), rel=1e-2)


def test_a_gradient_is_clipped_in_units_of_the_rows(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="relu-sae", steps=1, normalisation="sqrt_d", gradient_clip=1e-3)
    state = state_of(stream, plan)
    train_step(state, torch.from_numpy(one_site.values_NSD[:512]), plan)
    square = 0.0
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            gradient = state.optimizer.state[parameter]["exp_avg"] / (1 - ADAM_BETAS[0])
            square += float((group["unit"] * gradient).square().sum())
    assert math.sqrt(square) == pytest.approx(1e-3, rel=1e-2)


def test_latents_without_use_are_counted_and_then_taught(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="topk-sae", k=2, steps=10, dead_after_rows=1024)
    state = state_of(stream, plan)
    with torch.no_grad():
        state.dictionary.b_enc[:50] = -100.0
        state.dictionary.W_enc[:, :50] = 0.0
    values_BSD = torch.from_numpy(one_site.values_NSD[:512])
    first, second, third = (train_step(state, values_BSD, plan) for _ in range(3))
    assert first.dead is None  # 512 rows cannot tell
    assert second.dead is not None
    assert second.dead >= 50
    assert second.terms["auxk"] == 0
    assert third.terms["auxk"] > 0
    assert state.idle_rows_F[:50].tolist() == [3 * 512] * 50


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_stops_training_and_changes_nothing(bad: float, one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="topk-sae", k=4, steps=10)
    state = state_of(stream, plan)
    train_step(state, torch.from_numpy(one_site.values_NSD[:512]), plan)
    before = {name: weight.detach().clone() for name, weight in state.dictionary.named_parameters()}
    spoiled_BSD = np.array(one_site.values_NSD[:512])
    spoiled_BSD[7, 0, 3] = bad
    with pytest.raises(errors.TrainingError, match=r"step 2: loss is .* not finite: check the store"):
        train_step(state, torch.from_numpy(spoiled_BSD), plan)
    assert state.step == 1
    for name, weight in state.dictionary.named_parameters():
        assert torch.equal(weight, before[name])


def test_divergence_is_told_from_bad_rows(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="relu-sae", steps=10)
    state = state_of(stream, plan)
    with torch.no_grad():
        state.dictionary.W_enc.fill_(1e30)
    with pytest.raises(errors.TrainingError, match="diverged: lower --lr"):
        train_step(state, torch.from_numpy(one_site.values_NSD[:512]), plan)
