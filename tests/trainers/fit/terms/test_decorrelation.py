"""The decorrelation term is the mean squared cosine of distinct atoms, in units of random directions."""

import pytest
import torch
from torch import Tensor

from trainers.fit.terms import decorrelation as module
from trainers.fit.terms.decorrelation import decorrelation


def drawn(latents: int, features: int, *, seed: int = 0) -> Tensor:
    return torch.randn(latents, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(decoder_FX: Tensor, width: int) -> float:
    latents, total = len(decoder_FX), 0.0
    for i in range(latents):
        for j in range(latents):
            if i != j:
                cosine = decoder_FX[i] @ decoder_FX[j] / (decoder_FX[i].norm() * decoder_FX[j].norm())
                total += float(cosine) ** 2
    return width * total / (latents * (latents - 1))


@pytest.mark.parametrize(("latents", "features"), [(40, 12), (12, 40), (1, 3)])
def test_it_is_the_sum_over_pairs(latents: int, features: int) -> None:
    decoder_FX = drawn(latents, features)
    wanted = naive(decoder_FX, 6) if latents > 1 else 0.0
    assert float(decorrelation(decoder_FX, width=6)) == pytest.approx(wanted, rel=1e-10, abs=1e-12)


def test_cosines_of_more_features_than_atoms_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder_FX = drawn(12, 40).requires_grad_()
    whole = decorrelation(decoder_FX, width=40)
    (of_whole,) = torch.autograd.grad(whole, decoder_FX)
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 12 * 5)
    parts = decorrelation(decoder_FX, width=40)
    (of_parts,) = torch.autograd.grad(parts, decoder_FX)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(of_parts, of_whole)


@pytest.mark.parametrize(("latents", "features"), [(9, 4), (4, 9)])
def test_its_gradient_is_that_of_finite_differences(latents: int, features: int) -> None:
    decoder_FX = drawn(latents, features).requires_grad_()
    assert torch.autograd.gradcheck(lambda one: decorrelation(one, width=4), (decoder_FX,))


def test_random_directions_have_1_whatever_their_number() -> None:
    for latents in (200, 2000):
        assert float(decorrelation(drawn(latents, 64), width=64)) == pytest.approx(1.0, rel=0.05)


def test_equal_atoms_have_as_much_as_there_are_features_and_orthogonal_ones_nothing() -> None:
    assert float(decorrelation(torch.ones(10, 8), width=8)) == pytest.approx(8.0)
    assert float(decorrelation(torch.eye(8), width=8)) == pytest.approx(0.0)


def test_norms_of_atoms_and_repeated_sites_do_not_matter() -> None:
    decoder_FX = drawn(20, 8)
    one = decorrelation(decoder_FX, width=8)
    torch.testing.assert_close(decorrelation(decoder_FX * torch.arange(1, 21)[:, None], width=8), one)
    torch.testing.assert_close(decorrelation(decoder_FX.repeat(1, 6), width=8), one)


def test_an_atom_of_norm_zero_is_orthogonal_to_all_and_has_a_gradient_that_is_finite() -> None:
    decoder_FX = drawn(5, 8)
    decoder_FX[2] = 0
    decoder_FX.requires_grad_()
    loss = decorrelation(decoder_FX, width=8)
    loss.backward()  # type: ignore[no-untyped-call]
    assert decoder_FX.grad is not None
    assert bool(torch.isfinite(decoder_FX.grad[torch.arange(5) != 2]).all())
