import pytest
import torch

from actstore import Silent
from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import plan_of, state_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.state import TrainState
from trainers.score.evaluate import Score, evaluate


def score(state: TrainState, stream: MemoryStream, max_rows: int) -> Score:
    return evaluate(state.dictionary, stream, scale_S=state.scale_S, max_rows=max_rows, progress=Silent())


@pytest.fixture
def state(three_sites: Planted) -> TrainState:
    stream = stream_of(three_sites.values_NSD)
    return state_of(stream, plan_of(stream, dictionary="crosscoder-topk", latents=64, k=4))


def test_one_pass_is_the_formula_on_all_rows(state: TrainState, three_sites: Planted) -> None:
    have = score(state, stream_of(three_sites.values_NSD, batch_rows=1000), 1_000_000)
    with torch.no_grad():
        scaled_NSD = torch.from_numpy(three_sites.values_NSD) * state.scale_S[:, None]
        error_S = (state.dictionary(scaled_NSD).reconstruction_BSD - scaled_NSD).double().square().sum(dim=(0, 2))
    spread_S = (scaled_NSD.double() - scaled_NSD.double().mean(dim=0)).square().sum(dim=(0, 2))
    assert have.rows == 8192
    assert have.explained_variance == pytest.approx(float(1 - error_S.sum() / spread_S.sum()), rel=1e-6)
    assert list(have.explained_variance_per_site) == list(three_sites.sites)
    assert list(have.explained_variance_per_site.values()) == pytest.approx((1 - error_S / spread_S).tolist(), rel=1e-6)
    assert have.l0 == 4.0


def test_rows_are_capped_within_a_batch(state: TrainState, three_sites: Planted) -> None:
    assert score(state, stream_of(three_sites.values_NSD, batch_rows=1000), 2500).rows == 2500


def test_evaluation_leaves_no_gradient_behind(state: TrainState, three_sites: Planted) -> None:
    score(state, stream_of(three_sites.values_NSD), 1000)
    assert all(parameter.grad is None for parameter in state.dictionary.parameters())
