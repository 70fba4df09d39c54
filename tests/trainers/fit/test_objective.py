"""Training depends neither on the scale of the rows nor on their normalisation, nor on how often a site is repeated."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.trainers.in_memory import plan_of, state_of, stream_of
from tests.trainers.planted import Planted, plant
from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.fit.dead import dead_latents
from trainers.fit.loop import train
from trainers.fit.objective import objective
from trainers.fit.state import TrainState

SAES = (
    "topk-sae",
    "batch-topk-sae",
    "matryoshka-sae",
    "jumprelu-sae",
    "relu-sae",
    "relu-sae-weighted",
    "gated-sae",
    "p-annealing-sae",
)
CROSSCODERS = (
    "crosscoder-topk",
    "crosscoder-batch-topk",
    "crosscoder-matryoshka",
    "crosscoder-jumprelu",
    "crosscoder-l1",
    "crosscoder-l2",
)
NAMES = (*SAES, *CROSSCODERS)


@pytest.fixture(scope="module")
def six_sites() -> Planted:
    return plant(rows=4096, sites=6)


def keeps_k(name: str) -> bool:
    return "topk" in name or "matryoshka" in name


def options_of(name: str, **more: Any) -> dict[str, Any]:
    """A short run in which latents die, so that every term of the objective takes part."""
    kept: dict[str, Any] = {"k": 2} if keeps_k(name) else {"l0_target": 2.0} if "jumprelu" in name else {}
    return {"dictionary": name, "latents": 96, "steps": 30, "lr": 0.01, "dead_after_rows": 512, **kept, **more}


def trained(values_NSD: NDArray[np.float32], **options: Any) -> tuple[TrainState, float]:
    """Return the state after a run, and the AuxK loss of its last step."""
    stream = stream_of(values_NSD, batch_rows=256)
    plan = plan_of(stream, **options)
    state = state_of(stream, plan)
    return state, list(train(state, stream, plan))[-1].report.terms.get("auxk", 0.0)


@torch.no_grad()
def code_of(state: TrainState, values_NSD: NDArray[np.float32]) -> torch.Tensor:
    return state.dictionary.encode(torch.from_numpy(values_NSD[:500]) * state.scale_S[:, None])


def share_of_equal_choices(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(((one > 0) == (other > 0)).double().mean())


@pytest.mark.parametrize("normalisation", ["unit", "sqrt_d"])
@pytest.mark.parametrize(("name", "sites"), [*((name, 1) for name in SAES), *((name, 6) for name in CROSSCODERS)])
def test_rows_times_seven_give_the_same_weights_and_codes(
    name: str, sites: int, normalisation: str, six_sites: Planted
) -> None:
    values_NSD = six_sites.values_NSD[:, :sites]
    options = options_of(name, normalisation=normalisation)
    (one, auxk), (seven, again) = trained(values_NSD, **options), trained(7 * values_NSD, **options)
    assert "jumprelu" in name or (auxk > 0) == keeps_k(name)
    assert again == pytest.approx(auxk, rel=1e-3)
    for have, want in zip(seven.dictionary.parameters(), one.dictionary.parameters(), strict=True):
        assert float((have - want).detach().norm() / want.detach().norm()) < 1e-3
    have_BF, want_BF = code_of(seven, 7 * values_NSD), code_of(one, values_NSD)
    assert share_of_equal_choices(have_BF, want_BF) > 0.999
    assert float((have_BF - want_BF).norm() / want_BF.norm()) < 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_the_normalisation_of_one_site_changes_nothing_but_the_scale_of_codes(name: str, one_site: Planted) -> None:
    values_NSD = one_site.values_NSD[:4096]
    unit, auxk = trained(values_NSD, **options_of(name))
    long_rows, again = trained(values_NSD, **options_of(name, normalisation="sqrt_d"))
    ratio = float(long_rows.scale_S[0] / unit.scale_S[0])
    assert ratio > 5
    assert again == pytest.approx(auxk, rel=0.01)
    torch.testing.assert_close(long_rows.dictionary.W_dec, unit.dictionary.W_dec, rtol=0, atol=2e-3)
    have_BF, want_BF = code_of(long_rows, values_NSD) / ratio, code_of(unit, values_NSD)
    assert share_of_equal_choices(have_BF, want_BF) > 0.995
    assert float((have_BF - want_BF).norm() / want_BF.norm()) < 0.05


@pytest.mark.parametrize("name", CROSSCODERS)
def test_six_copies_of_a_site_train_as_one(name: str, one_site: Planted) -> None:
    values_NSD = one_site.values_NSD[:4096]
    copies_NSD = np.repeat(values_NSD, 6, axis=1)
    one_stream, six_stream = (stream_of(rows, batch_rows=256) for rows in (values_NSD, copies_NSD))
    options = options_of(name)
    one_plan, six_plan = plan_of(one_stream, **options), plan_of(six_stream, **options)
    assert (one_plan.lr, one_plan.sparsity) == (six_plan.lr, six_plan.sparsity)
    one, six = state_of(one_stream, one_plan), state_of(six_stream, six_plan)
    with torch.no_grad():  # the same directions, of norm 1 over six sites as over one
        six.dictionary.W_dec.copy_(one.dictionary.W_dec.expand(-1, 6, -1) / math.sqrt(6))
        six.dictionary.W_enc.copy_(one.dictionary.W_enc.expand(6, -1, -1) / math.sqrt(6))
        six.dictionary.b_enc.copy_(one.dictionary.b_enc * math.sqrt(6))
        if isinstance(one.dictionary, JumpReluDictionary) and isinstance(six.dictionary, JumpReluDictionary):
            six.dictionary.log_threshold.copy_(one.dictionary.log_threshold + math.log(6) / 2)
    of_one, of_six = (
        [step.report for step in train(state, stream, plan)]
        for state, stream, plan in ((one, one_stream, one_plan), (six, six_stream, six_plan))
    )
    for before, after in zip(of_one, of_six, strict=True):
        assert after.terms == pytest.approx(before.terms, rel=1e-2, abs=1e-5), after.step
    have_BF, want_BF = code_of(six, copies_NSD) / math.sqrt(6), code_of(one, values_NSD)
    assert share_of_equal_choices(have_BF, want_BF) > 0.995


def test_the_terms_are_shares_of_sums_over_the_batch(one_site: Planted) -> None:
    """No mean of ratios: rows of small variance count no more than others."""
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, latents=96, k=3, auxk_weight=0.25, dead_after_rows=1)
    state = state_of(stream, plan)
    state.idle_rows_F[:40] = 1
    scaled_BSD = torch.from_numpy(one_site.values_NSD[:700]) * state.scale_S[:, None]
    output = state.dictionary(scaled_BSD)
    dead_F = dead_latents(state.idle_rows_F, dead_after_rows=1)
    terms = objective(state, scaled_BSD, output, dead_F, plan)
    residual_BX = (scaled_BSD - output.reconstruction_BSD).detach()[:, 0]
    weights = state.dictionary.flat()
    code_BF = torch.relu(scaled_BSD[:, 0] @ weights.encoder_XF + weights.folded_bias_F)[:, :40]
    kept_BF = code_BF * (code_BF >= code_BF.topk(16).values[:, -1:])  # half of the 32 features
    guess_BX = kept_BF @ weights.decoder_FX[:40]
    squared = residual_BX.square().sum()
    multiple = (guess_BX * residual_BX).sum() / guess_BX.square().sum()
    left = (max(0.01, multiple.item()) * guess_BX - residual_BX).square().sum()
    assert terms.terms["reconstruction"].item() == pytest.approx(squared.item() / 700 / state.variance, rel=1e-5)
    assert terms.terms["auxk"].item() == pytest.approx(0.25 * (left / squared).item(), rel=1e-5)
    assert terms.loss.item() == pytest.approx((terms.terms["reconstruction"] + terms.terms["auxk"]).item())


def test_the_terms_of_a_gated_dictionary_are_shares_too(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, dictionary="gated-sae", latents=96, sparsity=0.3, sparsity_warmup_share=0.0)
    state = state_of(stream, plan)
    scaled_BSD = torch.from_numpy(one_site.values_NSD[:700]) * state.scale_S[:, None]
    terms = objective(state, scaled_BSD, state.dictionary(scaled_BSD), torch.zeros(0, dtype=torch.int64), plan).terms
    weights = state.dictionary.flat()
    gate_BF = torch.relu(scaled_BSD[:, 0] @ weights.encoder_XF + weights.folded_bias_F)  # r_mag and b_mag start at 0
    error = (gate_BF @ weights.decoder_FX + weights.decoder_bias_X - scaled_BSD[:, 0]).square().sum()
    assert terms.keys() == {"reconstruction", "gate", "sparsity"}
    assert terms["gate"].item() == pytest.approx(error.item() / 700 / state.variance, rel=1e-5)
    assert terms["reconstruction"].item() == pytest.approx(terms["gate"].item(), rel=1e-5)
    l1 = gate_BF.sum().item() / 700
    assert terms["sparsity"].item() == pytest.approx(0.3 * l1 / math.sqrt(state.variance), rel=1e-5)
