from typing import Any, Final

import pytest
import torch

from trainers.dictionaries.codes.topk import topk_code
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.kinds.crosscoder_topk import CrosscoderTopK
from trainers.dictionaries.kinds.topk_sae import TopKSae
from trainers.fit.auxk import auxk_loss


@pytest.fixture
def sae() -> TopKSae:
    dictionary = TopKSae(Shape(1, 8, 24, 2))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        dictionary.W_dec.copy_(torch.nn.functional.normalize(torch.randn(24, 8, generator=generator)))
        dictionary.W_enc.copy_(dictionary.W_dec.t())
    return dictionary


def rows(count: int = 50) -> torch.Tensor:
    return torch.randn(count, 1, 8, generator=torch.Generator().manual_seed(4))


def share_left(guess_BD: torch.Tensor, residual_BD: torch.Tensor) -> torch.Tensor:
    """1 - squared cosine: what the best multiple of a guess leaves of the residual."""
    return 1 - (guess_BD * residual_BD).sum() ** 2 / guess_BD.square().sum() / residual_BD.square().sum()


LIMITS: Final[dict[str, Any]] = {"most_latents": 4, "least": 1e-6}


def test_auxk_is_the_unexplained_share_of_the_residual(sae: TopKSae) -> None:
    values_BSD, dead_F = rows(), torch.tensor([1, 4, 9])
    residual_BSD = 0.2 * values_BSD + 0.1 * torch.randn(50, 1, 8, generator=torch.Generator().manual_seed(5))
    code_BF = torch.relu(values_BSD[:, 0] @ sae.W_enc[:, dead_F])
    have = auxk_loss(sae, values_BSD, residual_BSD, dead_F, **LIMITS)
    torch.testing.assert_close(have, share_left(code_BF @ sae.W_dec[dead_F], residual_BSD[:, 0]))


def test_the_size_of_activations_does_not_count_if_they_are_too_large(sae: TopKSae) -> None:
    """So nothing makes dead latents small, and they can compete with the living again."""
    values_BSD = rows()
    small_BSD = 0.01 * values_BSD
    dead_F = torch.arange(24)
    loss = auxk_loss(sae, values_BSD, small_BSD * 5, dead_F, **LIMITS)
    assert loss.item() == pytest.approx(auxk_loss(sae, values_BSD, small_BSD * 20, dead_F, **LIMITS).item(), rel=1e-4)
    (slope_F,) = torch.autograd.grad(loss, [sae.W_enc])
    assert abs(float((slope_F * sae.W_enc).detach().sum())) < 1e-5


def test_latents_that_point_away_are_taught_to_point_towards(sae: TopKSae) -> None:
    values_BSD = rows()
    loss = auxk_loss(sae, values_BSD, -values_BSD, torch.arange(24), **LIMITS)
    assert loss.item() > 1
    (slope_FD,) = torch.autograd.grad(loss, [sae.W_dec])
    code_BF = topk_code(sae.flat(), values_BSD, kept=4).detach()
    guess_BD = code_BF @ sae.W_dec.detach()
    towards_BD = code_BF @ (sae.W_dec.detach() - 1e-3 * slope_FD)
    assert float((towards_BD * -values_BSD[:, 0]).sum()) > float((guess_BD * -values_BSD[:, 0]).sum())


def test_auxk_uses_at_most_so_many_latents(sae: TopKSae) -> None:
    values_BSD = rows()
    dead_F = torch.arange(24)
    code_BF = torch.relu(values_BSD[:, 0] @ sae.W_enc)
    fourth_B1 = code_BF.topk(4, dim=1).values[:, -1:]
    kept_BF = code_BF * (code_BF >= fourth_B1)
    have = auxk_loss(sae, values_BSD, values_BSD, dead_F, **LIMITS)
    torch.testing.assert_close(have, share_left(kept_BF @ sae.W_dec, values_BSD[:, 0]))


def test_auxk_teaches_dead_latents_only(sae: TopKSae) -> None:
    values_BSD = rows()
    residual_BSD = values_BSD - sae(values_BSD).reconstruction_BSD
    auxk_loss(sae, values_BSD, residual_BSD, torch.tensor([1, 4, 9]), **LIMITS).backward()  # type: ignore[no-untyped-call]
    assert sae.W_dec.grad is not None
    taught = torch.nonzero(sae.W_dec.grad.abs().sum(dim=1)).flatten().tolist()
    assert taught == [1, 4, 9]


def test_auxk_of_a_perfect_reconstruction_is_finite(sae: TopKSae) -> None:
    values_BSD = rows()
    with torch.no_grad():
        sae.W_enc.zero_()
    assert auxk_loss(sae, values_BSD, torch.zeros_like(values_BSD), torch.tensor([0]), **LIMITS).item() == 0.0


def test_auxk_of_a_single_row_is_a_share_too(sae: TopKSae) -> None:
    """The last batch of an epoch may hold one row, which does not differ from its own mean."""
    values_BSD = rows(1)
    silent = torch.tensor([0])
    with torch.no_grad():
        sae.b_enc[0] = -100.0
    assert auxk_loss(sae, values_BSD, values_BSD, silent, **LIMITS).item() == 1.0


def test_dead_latents_of_a_crosscoder_rank_as_in_the_main_pass() -> None:
    """A latent is not chosen for a large activation if its decoder is small."""
    crosscoder = CrosscoderTopK(Shape(2, 2, 6, 1))
    with torch.no_grad():
        crosscoder.W_enc[:, 0, 0], crosscoder.W_enc[:, 0, 1] = 10.0, 1.0
        crosscoder.W_dec[0, :, 0], crosscoder.W_dec[1, :, 0] = 0.01, 1.0
    values_BSD = torch.ones(3, 2, 2)
    dead_F = torch.tensor([0, 1])
    auxk_loss(crosscoder, values_BSD, values_BSD, dead_F, most_latents=1, least=1e-6).backward()  # type: ignore[no-untyped-call]
    assert crosscoder.W_dec.grad is not None
    assert crosscoder.W_dec.grad.flatten(1).any(dim=1).tolist() == [False, True, *4 * [False]]
