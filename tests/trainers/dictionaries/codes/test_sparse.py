"""Sparse sums over any number of latents a row are what dense arithmetic gives, gradients included."""

import pytest
import torch
from torch import Tensor

from trainers.dictionaries.codes.sparse import (
    Chosen,
    above,
    can_be_sparse,
    dense_pass,
    sparse_decode,
    sparse_encode,
    sparse_pass,
)
from trainers.dictionaries.dictionary import FlatWeights

INPUTS, LATENTS, ROWS = 7, 13, 9


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weights_of(*, pre_bias: bool = True) -> FlatWeights:
    parts = [draw(INPUTS, LATENTS, seed=1), draw(LATENTS, seed=2), draw(LATENTS, INPUTS, seed=3), draw(INPUTS, seed=4)]
    if pre_bias:
        parts.append(draw(INPUTS, seed=5))
    return FlatWeights(*(part.requires_grad_() for part in parts))


def mask_of(kind: str) -> Tensor:
    """Rows with very different numbers of latents: none, some, all."""
    if kind == "nothing":
        return torch.zeros(ROWS, LATENTS, dtype=torch.bool)
    mask_BF = draw(ROWS, LATENTS, seed=6) > 0.5
    mask_BF[2], mask_BF[5] = False, True
    return mask_BF


@pytest.mark.parametrize("kind", ["nothing", "uneven"])
@pytest.mark.parametrize("pre_bias", [False, True])
def test_a_sparse_pass_is_the_dense_one(kind: str, pre_bias: bool) -> None:
    weights, values_BX, mask_BF = weights_of(pre_bias=pre_bias), draw(ROWS, INPUTS), mask_of(kind)
    pre_N, chosen = sparse_encode(weights, values_BX, lambda _: above(mask_BF))
    sparse = sparse_pass(weights, torch.relu(pre_N), chosen)
    pre_BF = torch.addmm(weights.folded_bias_F, values_BX, weights.encoder_XF)
    dense = dense_pass(weights, torch.where(mask_BF, torch.relu(pre_BF), 0))
    torch.testing.assert_close(sparse.reconstruction_BX, dense.reconstruction_BX)
    assert sparse.fired_F.tolist() == dense.fired_F.tolist()
    parts = [part for part in weights if part is not None]
    have, want = (
        torch.autograd.grad((one.reconstruction_BX - values_BX).pow(3).sum(), parts) for one in (sparse, dense)
    )
    for one, other in zip(have, want, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_finite_differences() -> None:
    values_BX, mask_BF = draw(ROWS, INPUTS), mask_of("uneven")

    def error(*parts: Tensor) -> Tensor:
        weights = FlatWeights(*parts)
        pre_N, chosen = sparse_encode(weights, values_BX, lambda _: above(mask_BF))
        return (sparse_pass(weights, pre_N.square(), chosen).reconstruction_BX - values_BX).square().sum()

    assert torch.autograd.gradcheck(error, tuple(part for part in weights_of() if part is not None))


def test_bags_may_be_parts_of_rows() -> None:
    """As the groups of latents in Matryoshka dictionaries are."""
    weights, mask_BF = weights_of(), mask_of("uneven")
    chosen = above(mask_BF)
    code_N = draw(len(chosen.index_N), seed=7).requires_grad_()
    group_N = (chosen.index_N >= 4).long()
    sum_GX = sparse_decode(code_N, weights.decoder_FX, chosen, bag_N=2 * chosen.row_N + group_N, bags=2 * ROWS)
    code_BF = torch.zeros(ROWS, LATENTS, dtype=torch.float64).masked_scatter(mask_BF, code_N)
    halves = [code_BF[:, :4] @ weights.decoder_FX[:4], code_BF[:, 4:] @ weights.decoder_FX[4:]]
    want_GX = torch.stack(halves, dim=1).flatten(0, 1)
    torch.testing.assert_close(sum_GX, want_GX)
    have, want = (torch.autograd.grad(one.pow(3).sum(), [code_N, weights.decoder_FX]) for one in (sum_GX, want_GX))
    for one, other in zip(have, want, strict=True):
        torch.testing.assert_close(one, other)


def test_pairs_are_in_the_order_of_rows_and_latents() -> None:
    chosen = above(torch.tensor([[False, True, True], [False, False, False], [True, False, True]]))
    assert list(zip(chosen.row_N.tolist(), chosen.index_N.tolist(), strict=True)) == [(0, 1), (0, 2), (2, 0), (2, 2)]
    assert chosen.position_N.tolist() == [1, 2, 6, 8]
    assert chosen.starts(chosen.row_N, 3).tolist() == [0, 2, 2]
    assert chosen.sum_by_latent(torch.ones(4)).tolist() == [1, 1, 2]


def test_more_latents_than_16_bits_count() -> None:
    latents = (1 << 16) + 5
    chosen = Chosen(torch.tensor([latents - 1, 3, 3]), torch.tensor([0, 0, 1]), rows=2, latents=latents)
    sums_FX = chosen.weighted_rows(torch.eye(2), chosen.row_N, torch.tensor([1.0, 2.0, 3.0]))
    assert sums_FX[3].tolist() == [2, 3]
    assert sums_FX[latents - 1].tolist() == [1, 0]
    assert float(sums_FX.sum()) == 6


def test_rows_that_ask_for_gradients_go_through_dense_products() -> None:
    assert can_be_sparse(draw(2, 2))
    assert not can_be_sparse(draw(2, 2).requires_grad_())
    assert not can_be_sparse(torch.empty(2, 2, device="meta"))
