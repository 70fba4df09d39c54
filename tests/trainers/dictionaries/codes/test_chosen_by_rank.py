import pytest
import torch
from torch import Tensor

from trainers.dictionaries.codes import chosen_by_rank
from trainers.dictionaries.codes.chosen_by_rank import batch_cutoff, ranked_code, ranked_pass
from trainers.dictionaries.dictionary import FlatWeights


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WEIGHTS = FlatWeights(
    *(draw(*shape, seed=seed).requires_grad_() for seed, shape in enumerate([(6, 20), (20,), (20, 6), (6,)]))
)


@pytest.mark.parametrize("count", [1, 7, 50, 100, 10_000])
@pytest.mark.parametrize("sampled", [False, True])
def test_the_cutoff_is_the_smallest_of_the_largest_positive_numbers(
    count: int, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen_by_rank, "_LEAST_SAMPLED", 1 if sampled else 1 << 16)
    ranked_BF = draw(40, 30)
    largest = sorted(ranked_BF.flatten().tolist(), reverse=True)[:count]
    assert float(batch_cutoff(ranked_BF, count)) == min(one for one in largest if one > 0)
    assert float(batch_cutoff(ranked_BF.bfloat16(), count)) == pytest.approx(
        min(filter(lambda x: x > 0, largest)), rel=0.01
    )


def test_a_sample_that_misleads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_by_rank, "_LEAST_SAMPLED", 1)
    ranked_BF = torch.zeros(100, 17)
    ranked_BF[:, 0] = torch.arange(1, 101)  # the sample sees these only
    ranked_BF[50:, 3] = 0.5
    assert float(batch_cutoff(ranked_BF, 120)) == 0.5


def test_without_a_positive_number_nothing_is_kept() -> None:
    assert float(batch_cutoff(-torch.ones(3, 4), 5)) == float("inf")


@pytest.mark.parametrize("scored", [False, True])
def test_sparse_sums_are_those_of_dense_arithmetic_gradients_included(scored: bool) -> None:
    values_BX = draw(50, 6, seed=9)
    score_F = torch.linspace(0.5, 2, 20, dtype=torch.float64) if scored else None
    rank_BF = values_BX @ WEIGHTS.encoder_XF + WEIGHTS.encoder_bias_F
    want_BF = torch.where((rank_BF if score_F is None else rank_BF * score_F) > 1.5, rank_BF, 0)
    sparse = ranked_pass(WEIGHTS, values_BX, lambda ranked: ranked > 1.5, score_F=score_F)
    dense = ranked_pass(WEIGHTS, values_BX, lambda ranked: ranked > 1.5, score_F=score_F, dense=True)
    assert sparse.code_BF is None
    assert dense.code_BF is not None
    torch.testing.assert_close(dense.code_BF, want_BF)
    torch.testing.assert_close(ranked_code(WEIGHTS, values_BX, lambda ranked: ranked > 1.5, score_F=score_F), want_BF)
    torch.testing.assert_close(sparse.reconstruction_BX, dense.reconstruction_BX)
    assert sparse.fired_F.tolist() == (want_BF > 0).sum(dim=0).tolist()
    parts = WEIGHTS[:4]
    have, want = (
        torch.autograd.grad((one.reconstruction_BX - values_BX).square().sum(), parts) for one in (sparse, dense)
    )
    for one, other in zip(have, want, strict=True):
        torch.testing.assert_close(one, other)


def test_a_negative_limit_lets_no_negative_code_through() -> None:
    assert ranked_code(WEIGHTS, draw(50, 6, seed=9), lambda ranked: ranked > -10).min() == 0
