"""Training as a whole, on rows whose dictionary is known."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from actstore import Batch, errors
from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted, mean_max_cosine, plant
from trainers.fit.loop import Trained, train


def found_directions(state_dictionary: torch.nn.Module, planted: Planted) -> float:
    decoder_FX = state_dictionary.flat().decoder_FX.detach().numpy()  # type: ignore[operator]
    return mean_max_cosine(planted.direction_FX, decoder_FX)


def explained(step: Trained) -> float:
    value = step.report.batch_explained_variance
    assert value is not None
    return value


def test_a_topk_sae_recovers_a_planted_dictionary(one_site: Planted) -> None:
    state, steps = train_on(stream_of(one_site.values_NSD, batch_rows=512), latents=96, k=3, steps=400)
    assert found_directions(state.dictionary, one_site) > 0.9
    assert explained(steps[-1]) > 0.9


def test_a_topk_crosscoder_recovers_a_planted_dictionary(three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD, batch_rows=512)
    state, steps = train_on(stream, dictionary="crosscoder-topk", latents=96, k=3, steps=400)
    assert found_directions(state.dictionary, three_sites) > 0.9
    assert explained(steps[-1]) > 0.9


@pytest.mark.parametrize("name", ["relu-sae", "relu-sae-weighted", "gated-sae", "p-annealing-sae"])
def test_an_sae_with_a_penalty_recovers_a_planted_dictionary(name: str, one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD, batch_rows=512)
    state, steps = train_on(stream, dictionary=name, latents=96, steps=400, sparsity=0.2)
    assert found_directions(state.dictionary, one_site) > 0.9
    assert explained(steps[-1]) > 0.9


@pytest.mark.parametrize("name", ["relu-sae", "crosscoder-l1", "crosscoder-l2"])
def test_a_penalty_gives_sparse_codes_that_explain_the_rows(name: str, one_site: Planted, three_sites: Planted) -> None:
    planted = one_site if name == "relu-sae" else three_sites
    _, steps = train_on(stream_of(planted.values_NSD, batch_rows=512), dictionary=name, latents=96, steps=300)
    assert explained(steps[-1]) > 0.8
    assert steps[-1].report.batch_l0 < 96 / 4


def test_a_larger_coefficient_gives_sparser_codes(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD, batch_rows=512)
    mild, strict = (
        train_on(stream, dictionary="relu-sae", latents=96, steps=150, sparsity=coefficient)[1][-1].report.batch_l0
        for coefficient in (0.02, 0.2)
    )
    assert strict < mild


def test_the_same_seed_gives_the_same_weights_to_the_bit(three_sites: Planted) -> None:
    options = {"dictionary": "crosscoder-topk", "latents": 96, "k": 3, "steps": 20, "dead_after_rows": 1000}
    first, _ = train_on(stream_of(three_sites.values_NSD, batch_rows=512), **options)
    again, _ = train_on(stream_of(three_sites.values_NSD, batch_rows=512), **options)
    for have, want in zip(first.dictionary.parameters(), again.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)


def test_epochs_follow_each_other_until_the_last_step() -> None:
    stream = stream_of(plant(rows=1000).values_NSD, batch_rows=300)
    state, steps = train_on(stream, steps=10, k=4)
    assert [step.batch_rows for step in steps] == [300, 300, 300, 100, 300, 300, 300, 100, 300, 300]
    assert (state.step, state.rows) == (10, 2600)


def test_while_a_step_is_held_the_cursor_points_to_the_next_batch() -> None:
    stream = stream_of(plant(rows=1000).values_NSD, batch_rows=300)
    plan = plan_of(stream, steps=5, k=4)
    places = [(stream.cursor.epoch, stream.cursor.batch) for _ in train(state_of(stream, plan), stream, plan)]
    assert places == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


def test_a_stream_that_has_run_dry_is_an_error_not_an_endless_loop() -> None:
    class Dry(MemoryStream):
        def __iter__(self) -> Iterator[Batch]:
            return iter(())

    values_NSD = plant(rows=600).values_NSD
    stream = stream_of(values_NSD, batch_rows=300)
    plan = plan_of(stream, steps=5, k=4)
    with pytest.raises(errors.TrainingError, match="step 1: the stream gives no batches, but reports 600 rows"):
        list(train(state_of(stream, plan), Dry(values_NSD, stream.sites), plan))


def test_few_latents_die_where_all_are_needed() -> None:
    planted = plant(rows=8192, latents=96)
    state, _ = train_on(stream_of(planted.values_NSD, batch_rows=512), latents=96, k=3, steps=300)
    assert np.mean(state.idle_rows_F.numpy() > 10_000) < 0.1
