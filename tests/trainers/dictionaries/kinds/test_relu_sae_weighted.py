"""The penalty that is weighted by decoder norms, beside arithmetic written out."""

import torch
from torch import Tensor

from tests.trainers.dictionaries.in_double import drawn, gradients_agree, rows_for
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.kinds.crosscoder_l2 import CrosscoderL2
from trainers.dictionaries.kinds.relu_sae_weighted import WeightedReluSae


def test_the_penalty_charges_a_latent_for_its_decoder() -> None:
    sae = drawn(WeightedReluSae(Shape(1, 6, 20)))
    values_BSD = rows_for(sae)
    wanted = values_BSD.new_zeros(())
    for row_D in values_BSD[:, 0]:
        for latent in range(20):
            activation = torch.relu((row_D - sae.b_dec) @ sae.W_enc[:, latent] + sae.b_enc[latent])
            wanted = wanted + activation * sae.W_dec[latent].square().sum().sqrt() / len(values_BSD)
    torch.testing.assert_close(sae(values_BSD).penalty, wanted)


def test_the_loss_has_the_gradients_of_finite_differences() -> None:
    sae = drawn(WeightedReluSae(Shape(1, 4, 7)))
    values_BSD = rows_for(sae, rows=5)

    def loss() -> Tensor:
        output: DictionaryOutput = sae(values_BSD)
        assert output.penalty is not None
        return (output.reconstruction_BSD - values_BSD).square().sum() + 0.3 * output.penalty

    assert gradients_agree(sae, loss)


def test_the_loss_does_not_depend_on_the_scale_of_a_latent() -> None:
    sae = drawn(WeightedReluSae(Shape(1, 6, 20)))
    values_BSD = rows_for(sae)
    before = sae(values_BSD)
    scale_F = torch.linspace(0.1, 10, 20, dtype=torch.float64)
    with torch.no_grad():
        sae.W_enc.mul_(scale_F)
        sae.b_enc.mul_(scale_F)
        sae.W_dec.div_(scale_F[:, None])
    after = sae(values_BSD)
    torch.testing.assert_close(after.penalty, before.penalty)
    torch.testing.assert_close(after.reconstruction_BSD, before.reconstruction_BSD)


def test_it_is_an_l2_crosscoder_of_one_site() -> None:
    sae, crosscoder = drawn(WeightedReluSae(Shape(1, 6, 20))), drawn(CrosscoderL2(Shape(1, 6, 20)))
    with torch.no_grad():
        crosscoder.W_enc.copy_(sae.W_enc[None])
        crosscoder.W_dec.copy_(sae.W_dec[:, None])
        crosscoder.b_dec.copy_(sae.b_dec[None])
        crosscoder.b_enc.copy_(sae.b_enc - sae.b_dec @ sae.W_enc)  # it subtracts nothing
    values_BSD = rows_for(sae)
    torch.testing.assert_close(crosscoder(values_BSD).penalty, sae(values_BSD).penalty)
    torch.testing.assert_close(crosscoder(values_BSD).reconstruction_BSD, sae(values_BSD).reconstruction_BSD)
