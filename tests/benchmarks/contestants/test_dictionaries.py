import numpy as np
import pytest
import torch

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.testing.memory_stream import MemoryMoments
from benchmarks.contestants.dictionaries import Survival, coded, explained_variance, survival, trained
from trainers.fit.config import TrainConfig

CONFIG = TrainConfig(k=4, latents=32, batch_rows=128, steps=150)


@pytest.fixture(scope="module")
def rows_ND() -> Float32s:
    """Sparse sums of 32 directions in 16 channels."""
    rng = np.random.default_rng(0)
    code = rng.exponential(1.0, (6000, 32)) * (rng.random((6000, 32)) < 0.1)
    return (code @ rng.standard_normal((32, 16))).astype(np.float32)


def test_the_same_rows_give_the_same_dictionary_and_spoilt_ones_a_worse_one(rows_ND: Float32s) -> None:
    train_ND, held_out_ND = rows_ND[:5000], rows_ND[5000:]
    moments = MemoryMoments.of(train_ND)
    noise_ND = np.random.default_rng(1).standard_normal(train_ND.shape).astype(np.float32) * train_ND.std()
    one, again, spoilt = (
        explained_variance(trained(CONFIG, values, moments, title="training", progress=Silent()), held_out_ND)
        for values in (train_ND, train_ND.copy(), train_ND + noise_ND)
    )
    assert one == again
    assert 0.5 < spoilt + 0.02 < one < 1


def test_the_code_of_rows_is_that_of_the_dictionary(rows_ND: Float32s) -> None:
    state = trained(CONFIG, rows_ND, MemoryMoments.of(rows_ND), title="training", progress=Silent())
    code_NF = coded(state, rows_ND)
    assert code_NF.shape == (6000, 32)
    assert ((code_NF > 0).sum(dim=1) <= 4).all()
    reconstruction = state.dictionary.decode(code_NF)[:, 0] / state.scale_S
    error = np.square(reconstruction.detach().numpy() - rows_ND).sum()
    spread = np.square(rows_ND - rows_ND.mean(axis=0)).sum()
    assert 1 - error / spread == pytest.approx(explained_variance(state, rows_ND), abs=1e-5)


def test_survival_counts_rows_of_each_feature() -> None:
    before = torch.tensor([[1.0, 2.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [4.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    after = torch.tensor([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 3.0], [4.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    # Feature 0 keeps two rows of three, 1 all three, 2 is never active, 3 on one row and only after.
    kept = survival(before, after, least_rows=1)
    assert kept.features == 3
    assert kept.share == pytest.approx(1 / 3)
    assert kept.median_jaccard == pytest.approx(2 / 3)
    assert kept.activations == pytest.approx(5 / 7)
    assert survival(before, before, least_rows=1) == Survival(1, features=2, share=1, median_jaccard=1, activations=1)


def test_survival_leaves_rare_features_out_when_asked() -> None:
    before = torch.tensor([[1.0, 0.0], [1.0, 0.5], [2.0, 0.0]])
    after = torch.tensor([[1.0, 0.5], [1.0, 0.0], [2.0, 0.0]])
    assert survival(before, after, least_rows=1).share == 0.5
    assert survival(before, after, least_rows=2).features == 2
    assert survival(before, after, least_rows=3) == Survival(3, features=1, share=1, median_jaccard=1, activations=1)
    with pytest.raises(ValueError, match="no feature is active on 4 of 3 rows"):
        survival(before, after, least_rows=4)
