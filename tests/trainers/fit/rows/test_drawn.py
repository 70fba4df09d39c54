"""What the statistics of a store do not have is estimated from drawn rows."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actstore import errors
from actstore.testing.memory_stream import moments_of
from tests.trainers.in_memory import plan_of, stream_of, train_on
from tests.trainers.planted import Planted, mean_max_cosine, plant
from trainers.fit.normalise import InputFacts, describe_inputs
from trainers.fit.rows.drawn import needs_drawn_rows, run_inputs
from trainers.fit.rows.geometric_median import geometric_median
from trainers.fit.rows.transform import prepare_rows, transform_of


def inputs_of(values_NSD: NDArray[np.float32], **options: Any) -> InputFacts:
    stream = stream_of(values_NSD)
    return run_inputs(plan_of(stream, **options), moments_of(values_NSD, stream.sites), values_NSD)


@pytest.mark.parametrize("normalisation", ["unit", "sqrt_d", "none"])
def test_a_fixed_scale_needs_no_drawn_rows(normalisation: str, three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    plan = plan_of(stream, dictionary="crosscoder-topk", normalisation=normalisation)
    assert not needs_drawn_rows(plan)
    moments = moments_of(three_sites.values_NSD, stream.sites)
    have, want = (
        run_inputs(plan, moments, None),
        describe_inputs(stream.sites, moments, normalisation=plan.normalisation),
    )
    assert (have.variance, have.drawn_rows) == (want.variance, 0)
    assert (have.scale_S == 1).all() == (normalisation == "none")


@pytest.mark.parametrize("normalisation", ["row-zscore", "row-norm"])
def test_mean_and_variance_are_those_of_the_transformed_rows(normalisation: str, three_sites: Planted) -> None:
    values_NSD = three_sites.values_NSD
    inputs = inputs_of(values_NSD, dictionary="crosscoder-topk", normalisation=normalisation)
    rows = prepare_rows(torch.from_numpy(values_NSD), scale_S=torch.ones(3), transform=transform_of(normalisation))
    transformed_NSD = rows.inputs_BSD.double().numpy()
    np.testing.assert_allclose(inputs.mean_SD, transformed_NSD.mean(axis=0), atol=1e-6)
    assert inputs.variance == pytest.approx(transformed_NSD.var(axis=0).sum(), rel=1e-5)
    assert inputs.scale_S.tolist() == [1.0, 1.0, 1.0]
    assert inputs.drawn_rows == len(values_NSD)


def test_long_rows_count_neither_for_the_mean_nor_for_the_scale() -> None:
    values_NSD = plant(rows=2000).values_NSD
    spoiled_NSD = np.array(values_NSD)
    spoiled_NSD[::100] *= 1000
    clean, inputs = inputs_of(values_NSD), inputs_of(spoiled_NSD, max_norm_quantile=0.98)
    assert inputs.scale_S == pytest.approx(clean.scale_S, rel=0.05)
    assert inputs.variance == pytest.approx(clean.variance, rel=0.1)
    assert inputs.most_norm_S is not None
    assert (np.linalg.norm(spoiled_NSD[:, 0], axis=1) > inputs.most_norm_S[0]).mean() == pytest.approx(0.02, abs=0.002)


def test_the_limit_follows_the_scale_of_the_rows() -> None:
    values_NSD = plant(rows=2000).values_NSD
    one, seven = (inputs_of(factor * values_NSD, max_norm_quantile=0.9) for factor in (np.float32(1), np.float32(7)))
    assert one.most_norm_S is not None
    assert seven.most_norm_S == pytest.approx(7 * one.most_norm_S, rel=1e-6)


@pytest.mark.parametrize("normalisation", ["unit", "row-zscore"])
def test_b_dec_starts_at_the_geometric_median_of_the_rows_that_the_dictionary_sees(normalisation: str) -> None:
    values_NSD = plant(rows=500).values_NSD
    inputs = inputs_of(values_NSD, b_dec_start="geometric-median", normalisation=normalisation)
    scale_S = torch.from_numpy(inputs.scale_S)
    rows = prepare_rows(
        torch.from_numpy(values_NSD).double(), scale_S=scale_S, transform=transform_of(normalisation)
    ).inputs_BSD
    np.testing.assert_allclose(inputs.start_SD[0], geometric_median(rows[:, 0].numpy()), rtol=1e-5, atol=1e-7)
    assert np.abs(inputs.start_SD - inputs.mean_SD).max() > 1e-4


def test_a_run_without_the_rows_that_it_needs_is_refused() -> None:
    stream = stream_of(plant(rows=100).values_NSD)
    plan = plan_of(stream, normalisation="row-zscore")
    with pytest.raises(errors.TrainingError, match="needs rows drawn"):
        run_inputs(plan, moments_of(stream.values_NSD, stream.sites), None)


def test_a_few_extreme_rows_ruin_training_unless_they_are_dropped() -> None:
    """One row of a hundred is a thousand times as long, in a direction of its own."""
    planted = plant(rows=8192)
    spoiled_NSD = np.array(planted.values_NSD)
    rng = np.random.default_rng(0)
    spoiled_NSD[::100] = 1e5 * rng.standard_normal((len(spoiled_NSD[::100]), 1, 32)).astype(np.float32)
    options: dict[str, Any] = {"k": 4, "latents": 96, "steps": 160, "batch_rows": 512, "lr": 0.01}
    found = {
        quantile: train_on(stream_of(spoiled_NSD, batch_rows=512), max_norm_quantile=quantile, **options)
        for quantile in (None, 0.98)
    }
    cosine = {
        quantile: mean_max_cosine(planted.direction_FX, state.dictionary.flat().decoder_FX.detach().numpy())
        for quantile, (state, _) in found.items()
    }
    assert cosine[0.98] > 0.9
    assert cosine[None] < cosine[0.98] - 0.2
    state, steps = found[0.98]
    assert steps[-1].report.counts["dropped_rows"] == state.dropped_rows
    assert state.dropped_rows == pytest.approx(0.02 * state.rows, rel=0.05)


def test_a_batch_all_of_whose_rows_are_dropped_changes_nothing() -> None:
    values_NSD = plant(rows=600).values_NSD
    values_NSD[7] *= 100
    state, steps = train_on(
        stream_of(values_NSD, batch_rows=1), max_norm_quantile=0.99, steps=600, latents=48, k=3, lr=1e-5
    )
    skipped = [one.report for one in steps if one.report.terms == {}]
    assert len(skipped) == state.dropped_rows == 6
    assert state.step == state.rows == 600
    assert skipped[0].batch_explained_variance is None
