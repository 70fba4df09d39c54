"""The gated dictionary, beside the formulas of the paper written out, and as the JumpReLU that it is."""

import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.in_double import drawn, gradients_agree, rows_for
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.kinds.gated_sae import GatedSae


def gated(width: int = 6, latents: int = 20) -> GatedSae:
    return drawn(GatedSae(Shape(1, width, latents)))


def squared(output_BSD: Tensor, values_BSD: Tensor) -> Tensor:
    return (output_BSD - values_BSD).square().sum()


def test_code_penalty_and_both_reconstructions_are_those_of_the_paper() -> None:
    sae = gated()
    values_BSD = rows_for(sae)
    x = values_BSD[:, 0] - sae.b_dec
    pi_gate = x @ sae.W_enc + sae.b_enc
    w_mag = sae.W_enc * sae.r_mag.exp()
    code_BF = (pi_gate > 0).double() * torch.relu(x @ w_mag + sae.b_mag)
    output = sae(values_BSD)
    torch.testing.assert_close(sae.encode(values_BSD), code_BF)
    torch.testing.assert_close(output.reconstruction_BSD[:, 0], code_BF @ sae.W_dec + sae.b_dec)
    torch.testing.assert_close(output.also_BSD["gate"][:, 0], torch.relu(pi_gate) @ sae.W_dec + sae.b_dec)
    torch.testing.assert_close(output.penalty, torch.relu(pi_gate).sum(dim=1).mean())
    assert output.fired_F.tolist() == (code_BF > 0).sum(dim=0).tolist()


def test_the_gate_learns_from_its_own_reconstruction_alone_and_does_not_move_the_decoder() -> None:
    sae = gated()
    values_BSD = rows_for(sae)

    def gradients(output: DictionaryOutput, *, own: bool) -> dict[str, Tensor | None]:
        found_BSD = output.also_BSD["gate"] if own else output.reconstruction_BSD
        names = dict(sae.named_parameters())
        found = torch.autograd.grad(squared(found_BSD, values_BSD), [*names.values()], allow_unused=True)
        return dict(zip(names, found, strict=True))

    of_gate, of_code = gradients(sae(values_BSD), own=True), gradients(sae(values_BSD), own=False)
    assert of_gate["W_dec"] is None
    assert of_gate["r_mag"] is None
    assert of_gate["b_mag"] is None
    assert of_gate["b_enc"] is not None
    assert of_code["b_enc"] is None


@pytest.mark.parametrize("term", ["reconstruction", "gate", "penalty"])
def test_gradients_are_those_of_finite_differences(term: str) -> None:
    sae = gated(width=4, latents=7)
    values_BSD = rows_for(sae, rows=5)

    def loss() -> Tensor:
        output: DictionaryOutput = sae(values_BSD)
        if term == "penalty":
            assert output.penalty is not None
            return output.penalty
        return squared(output.reconstruction_BSD if term == "reconstruction" else output.also_BSD["gate"], values_BSD)

    frozen = ("W_enc", "b_enc", "b_mag", "r_mag")  # the gate holds the decoder still, so differences would see it
    assert gradients_agree(sae, loss, of=frozen if term == "gate" else ())


def test_it_is_a_jumprelu_with_a_shifted_bias_for_thresholds_of_any_sign() -> None:
    sae = gated(latents=400)
    values_BSD = rows_for(sae, rows=200)
    factor_F = sae.r_mag.exp()
    pre_BF = (values_BSD[:, 0] - sae.b_dec) @ (sae.W_enc * factor_F) + sae.b_mag
    threshold_F = sae.b_mag - factor_F * sae.b_enc
    assert 50 < int((threshold_F > 0).sum()) < 350
    torch.testing.assert_close(sae.encode(values_BSD), torch.where(pre_BF > threshold_F, pre_BF.relu(), 0.0))
