"""The sparse kernel computes what dense arithmetic computes, gradients included."""

import pytest
import torch
from torch import Tensor

from trainers.dictionaries.codes.topk import topk_code, topk_pass
from trainers.dictionaries.dictionary import FlatWeights, Shape
from trainers.dictionaries.kinds.topk_sae import TopKSae


def random_weights(inputs: int = 12, latents: int = 30) -> FlatWeights:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    return FlatWeights(draw(inputs, latents), draw(latents), draw(latents, inputs), draw(inputs))


def random_rows(rows: int = 40) -> Tensor:
    return torch.randn(rows, 2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def parts_of(weights: FlatWeights) -> list[Tensor]:
    return [tensor for tensor in weights if tensor is not None]


def dense_reconstruction(weights: FlatWeights, values_BSD: Tensor, kept: int, score_F: Tensor | None) -> Tensor:
    code_BF = topk_code(weights, values_BSD, kept=kept, score_F=score_F)
    return (code_BF @ weights.decoder_FX + weights.decoder_bias_X).view_as(values_BSD)


@pytest.mark.parametrize("kept", [1, 5, 30])
@pytest.mark.parametrize("scored", [False, True])
def test_reconstruction_and_gradients_are_those_of_dense_arithmetic(kept: int, scored: bool) -> None:
    weights, values_BSD = random_weights(), random_rows()
    score_F = torch.linspace(0.5, 2, 30, dtype=torch.float64) if scored else None
    sparse_BSD = topk_pass(weights, values_BSD, kept=kept, score_F=score_F).reconstruction_BX.view_as(values_BSD)
    dense_BSD = dense_reconstruction(weights, values_BSD, kept, score_F)
    torch.testing.assert_close(sparse_BSD, dense_BSD)
    sparse = torch.autograd.grad((sparse_BSD - values_BSD).square().sum(), parts_of(weights))
    dense = torch.autograd.grad((dense_BSD - values_BSD).square().sum(), parts_of(weights))
    for have, want in zip(sparse, dense, strict=True):
        torch.testing.assert_close(have, want)


def test_the_gradient_of_the_input_is_that_of_finite_differences() -> None:
    weights, values_BSD = random_weights(), random_rows(5).requires_grad_()

    def error(values_BSD: Tensor) -> Tensor:
        return (
            (values_BSD - topk_pass(weights, values_BSD, kept=5).reconstruction_BX.view_as(values_BSD)).square().sum()
        )

    assert torch.autograd.gradcheck(error, values_BSD)
    assert torch.autograd.gradgradcheck(error, values_BSD)


def test_the_k_largest_activations_of_each_row_are_kept() -> None:
    weights, values_BSD = random_weights(), random_rows()
    active_BF = torch.relu(values_BSD.flatten(1) @ weights.encoder_XF + weights.encoder_bias_F)
    code_BF = topk_code(weights, values_BSD, kept=3)
    torch.testing.assert_close(code_BF.sort(descending=True).values[:, :3], active_BF.topk(3).values)
    assert (code_BF > 0).sum(dim=1).max() <= 3


def test_a_row_with_fewer_active_latents_than_k_uses_only_those() -> None:
    weights, values_BSD = random_weights(), random_rows()
    silent = weights._replace(encoder_bias_F=torch.full((30,), -1e6, dtype=torch.float64))
    output = topk_pass(silent, values_BSD, kept=5)
    assert int(output.fired_F.sum()) == 0
    torch.testing.assert_close(output.reconstruction_BX, weights.decoder_bias_X.expand(40, 12))


def test_a_latent_that_was_not_chosen_gets_no_gradient() -> None:
    weights, values_BSD = random_weights(), random_rows()
    output = topk_pass(weights, values_BSD, kept=1)
    (d_decoder_FX,) = torch.autograd.grad(output.reconstruction_BX.square().sum(), [weights.decoder_FX])
    idle_F = output.fired_F == 0
    assert bool(idle_F.any())
    assert bool((d_decoder_FX[idle_F] == 0).all())
    assert bool((d_decoder_FX[~idle_F] != 0).any(dim=1).all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same() -> None:
    weights, values_BSD = random_weights(), random_rows()
    on_gpu = FlatWeights(*(weight.detach().cuda() for weight in weights if weight is not None))
    have = topk_pass(on_gpu, values_BSD.cuda(), kept=5)
    want = topk_pass(weights, values_BSD, kept=5)
    torch.testing.assert_close(have.reconstruction_BX.cpu(), want.reconstruction_BX.detach())
    assert have.fired_F.cpu().tolist() == want.fired_F.tolist()


@pytest.mark.parametrize("scored", [False, True])
def test_a_subtracted_bias_has_the_gradients_of_dense_arithmetic(scored: bool) -> None:
    weights, values_BSD = random_weights(), random_rows()
    weights = weights._replace(pre_bias_X=torch.linspace(-1, 1, 12, dtype=torch.float64).requires_grad_())
    score_F = torch.linspace(0.5, 2, 30, dtype=torch.float64) if scored else None
    inputs = parts_of(weights)
    sparse_BSD = topk_pass(weights, values_BSD, kept=5, score_F=score_F).reconstruction_BX.view_as(values_BSD)
    dense_BSD = dense_reconstruction(weights, values_BSD, 5, score_F)
    torch.testing.assert_close(sparse_BSD, dense_BSD)
    sparse = torch.autograd.grad((sparse_BSD - values_BSD).square().sum(), inputs)
    dense = torch.autograd.grad((dense_BSD - values_BSD).square().sum(), inputs)
    for have, want in zip(sparse, dense, strict=True):
        torch.testing.assert_close(have, want)


def test_more_latents_than_16_bits_count() -> None:
    """The order of the rows of each latent is found in another way there."""
    latents = (1 << 16) + 5
    draw = torch.Generator().manual_seed(3)
    shapes = [(12, latents), (latents,), (latents, 12), (12,)]
    weights = FlatWeights(*(torch.randn(*shape, generator=draw).requires_grad_() for shape in shapes))
    values_BSD = random_rows(6).float()
    sparse_BSD = topk_pass(weights, values_BSD, kept=5).reconstruction_BX.view_as(values_BSD)
    dense_BSD = dense_reconstruction(weights, values_BSD, 5, None)
    sparse = torch.autograd.grad((sparse_BSD - values_BSD).square().sum(), weights[:4])
    dense = torch.autograd.grad((dense_BSD - values_BSD).square().sum(), weights[:4])
    for have, want in zip(sparse, dense, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-4, atol=1e-4)


def test_passes_of_a_dictionary_do_not_disturb_each_other() -> None:
    """They share memory, but nothing of it is needed once the latents are chosen."""
    dictionary = TopKSae(Shape(1, 6, 30, 4)).double()
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    few_BSD, more_BSD = random_rows(3)[:, :1], random_rows(40)[:, 1:]
    alone = [dictionary(values_BSD).reconstruction_BSD.square().sum() for values_BSD in (few_BSD, more_BSD)]
    wanted = [torch.autograd.grad(each, dictionary.W_enc)[0] for each in alone]
    both = [dictionary(values_BSD).reconstruction_BSD.square().sum() for values_BSD in (more_BSD, few_BSD)]
    found = [torch.autograd.grad(each, dictionary.W_enc)[0] for each in reversed(both)]
    for have, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=0)
