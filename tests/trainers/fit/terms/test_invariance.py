"""Further terms depend neither on the scale of the rows nor on how often a site is repeated."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actstore import Silent, errors
from tests.trainers.fit.terms.labelled import labels_of, placed_stream
from tests.trainers.in_memory import needed_by, plan_of, state_of, train_on
from tests.trainers.planted import Planted
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.loop import train
from trainers.fit.rows.transform import prepare_rows, transform_of
from trainers.fit.state import TrainState
from trainers.fit.step import train_step
from trainers.score.evaluate import evaluate

TERMS = {
    "decorrelation": {"decorrelation_weight": 0.1},
    "smoothness": {"smoothness_weight": 0.3},
    "probe": {"probe_weight": 0.3},
}
ROWS: dict[str, dict[str, Any]] = {
    "none": {"normalisation": "none"},
    "row-zscore": {"normalisation": "row-zscore"},
    "row-norm": {"normalisation": "row-norm"},
    "quantile": {"max_norm_quantile": 0.9},
    "geometric-median": {"b_dec_start": "geometric-median"},
}
SHORT: dict[str, Any] = {"latents": 96, "steps": 20, "lr": 0.01, "k": 4, "dead_after_rows": 512}


def trained(values_NSD: NDArray[np.float32], **options: Any) -> tuple[TrainState, dict[str, float]]:
    """Return the state after a run, and the terms of its last step."""
    labels = labels_of(np.arange(2000) % 3.0 // 2, np.sin(np.arange(2000.0))) if "probe_weight" in options else None
    state, steps = train_on(placed_stream(values_NSD, batch_rows=256), labels, **SHORT | options)
    return state, steps[-1].report.terms


@torch.no_grad()
def code_of(state: TrainState, values_NSD: NDArray[np.float32], **options: Any) -> torch.Tensor:
    transform = transform_of(options.get("normalisation", "unit"))
    rows = prepare_rows(torch.from_numpy(values_NSD[:500]), scale_S=state.scale_S, transform=transform)
    return state.dictionary.encode(rows.inputs_BSD)


@pytest.mark.parametrize("name", [*TERMS, *ROWS])
@pytest.mark.parametrize("dictionary", ["topk-sae", "crosscoder-topk"])
def test_rows_times_seven_give_the_same_choices(name: str, dictionary: str, three_sites: Planted) -> None:
    values_NSD = three_sites.values_NSD[:3000, : 1 if dictionary == "topk-sae" else 3]
    options = {"dictionary": dictionary, **TERMS.get(name, {}), **ROWS.get(name, {})}
    (one, terms), (seven, again) = trained(values_NSD, **options), trained(7 * values_NSD, **options)
    assert again == pytest.approx(terms, rel=1e-2, abs=1e-4)
    if name in TERMS:
        assert terms[name] > 0
    have_BF, want_BF = code_of(seven, 7 * values_NSD, **options), code_of(one, values_NSD, **options)
    assert float(((have_BF > 0) == (want_BF > 0)).double().mean()) > 0.995


@pytest.mark.parametrize("name", [*TERMS, *ROWS])
def test_six_copies_of_a_site_train_as_one(name: str, one_site: Planted) -> None:
    values_NSD = one_site.values_NSD[:3000]
    copies_NSD = np.repeat(values_NSD, 6, axis=1)
    options = {**SHORT, "dictionary": "crosscoder-topk", **TERMS.get(name, {}), **ROWS.get(name, {})}
    labels = labels_of(np.arange(2000) % 3.0 // 2) if name == "probe" else None
    streams = [placed_stream(rows_NSD, batch_rows=256) for rows_NSD in (values_NSD, copies_NSD)]
    plans = [plan_of(stream, labels, **options) for stream in streams]
    one, six = (state_of(stream, plan, labels) for stream, plan in zip(streams, plans, strict=True))
    with torch.no_grad():  # the same directions, of norm 1 over six sites as over one
        six.dictionary.W_dec.copy_(one.dictionary.W_dec.expand(-1, 6, -1) / math.sqrt(6))
        six.dictionary.W_enc.copy_(one.dictionary.W_enc.expand(6, -1, -1) / math.sqrt(6))
        six.dictionary.b_enc.copy_(one.dictionary.b_enc * math.sqrt(6))
    reports = [list(train(*run))[-1].report for run in zip((one, six), streams, plans, strict=True)]
    assert reports[1].terms == pytest.approx(reports[0].terms, rel=2e-2, abs=1e-4)
    assert reports[1].counts == reports[0].counts
    have_BF, want_BF = code_of(six, copies_NSD, **options), code_of(one, values_NSD, **options)
    assert float(((have_BF > 0) == (want_BF > 0)).double().mean()) > 0.99


@pytest.mark.parametrize("name", DICTIONARIES)
def test_every_dictionary_takes_every_term(name: str, three_sites: Planted) -> None:
    one_site = DICTIONARIES[name].one_site and not DICTIONARIES[name].takes_targets
    values_NSD = three_sites.values_NSD[:1024, : 1 if one_site else 3]
    weights = {one: weight for term in TERMS.values() for one, weight in term.items()}
    labels = labels_of(np.arange(1024) % 2.0)
    options = {"latents": 48, "steps": 3, "max_norm_quantile": 0.9, **needed_by(name), **weights}
    state, steps = train_on(placed_stream(values_NSD, batch_rows=512), labels, **options)
    report = steps[0].report
    assert all(math.isfinite(report.terms[term]) and report.terms[term] > 0 for term in TERMS)
    assert min(report.counts[count] for count in ("dropped_rows", "neighbour_pairs", "labelled_rows")) > 0
    assert state.step == 3


def test_a_transcoder_has_no_row_whose_statistics_would_undo_a_transform(three_sites: Planted) -> None:
    with pytest.raises(errors.UsageError, match="writes other rows than it reads; take unit, sqrt_d or none"):
        plan_of(placed_stream(three_sites.values_NSD), normalisation="row-zscore", **needed_by("transcoder-topk"))


@pytest.mark.parametrize("name", ["none", "row-zscore", "row-norm"])
def test_the_explained_variance_of_a_batch_is_that_of_a_score_on_its_rows(name: str, three_sites: Planted) -> None:
    options = {"dictionary": "crosscoder-topk", **SHORT, "normalisation": name}
    batch_NSD = three_sites.values_NSD[:300]
    stream = placed_stream(batch_NSD)
    plan = plan_of(stream, **options)
    state = state_of(stream, plan)
    score = evaluate(
        state.dictionary,
        stream,
        scale_S=state.scale_S,
        max_rows=300,
        progress=Silent(),
        transform=transform_of(plan.normalisation),
    )
    with torch.no_grad():
        rows = prepare_rows(torch.from_numpy(batch_NSD), scale_S=state.scale_S, transform=transform_of(name))
        back_BSD = rows.undo(state.dictionary(rows.inputs_BSD).reconstruction_BSD, lambda values_BSD: values_BSD)
        raw_BSD = torch.from_numpy(batch_NSD)
        naive = 1 - (back_BSD - raw_BSD).square().sum() / (raw_BSD - raw_BSD.mean(dim=0)).square().sum()
    report = train_step(state, torch.from_numpy(batch_NSD), plan)
    assert score.explained_variance == pytest.approx(float(naive), rel=1e-4)
    assert report.batch_explained_variance == pytest.approx(score.explained_variance, rel=1e-4)
    assert report.batch_explained_variance_per_site == pytest.approx(score.explained_variance_per_site, rel=1e-4)
