import pytest
import torch

from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.topk_sae import TopKSae
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


def test_auxk_is_the_unexplained_share_of_the_residual(sae: TopKSae) -> None:
    values_BSD = rows()
    residual_BSD = values_BSD - sae(values_BSD).reconstruction_BSD
    dead_F = torch.tensor([1, 4, 9])
    code_BF = torch.relu(values_BSD[:, 0] @ sae.W_enc[:, dead_F])
    error = (code_BF @ sae.W_dec[dead_F] - residual_BSD[:, 0]).square().sum()
    variance = (residual_BSD - residual_BSD.mean(dim=0)).square().sum()
    torch.testing.assert_close(auxk_loss(sae, values_BSD, residual_BSD, dead_F), error / variance)


def test_auxk_uses_at_most_half_the_features_of_a_site(sae: TopKSae) -> None:
    values_BSD = rows()
    dead_F = torch.arange(24)
    code_BF = torch.relu(values_BSD[:, 0] @ sae.W_enc)
    fourth_B1 = code_BF.topk(4, dim=1).values[:, -1:]
    kept_BF = code_BF * (code_BF >= fourth_B1)
    error = (kept_BF @ sae.W_dec - values_BSD[:, 0]).square().sum()
    variance = (values_BSD - values_BSD.mean(dim=0)).square().sum()
    torch.testing.assert_close(auxk_loss(sae, values_BSD, values_BSD, dead_F), error / variance)


def test_auxk_teaches_dead_latents_only(sae: TopKSae) -> None:
    values_BSD = rows()
    residual_BSD = values_BSD - sae(values_BSD).reconstruction_BSD
    auxk_loss(sae, values_BSD, residual_BSD, torch.tensor([1, 4, 9])).backward()  # type: ignore[no-untyped-call]
    assert sae.W_dec.grad is not None
    taught = torch.nonzero(sae.W_dec.grad.abs().sum(dim=1)).flatten().tolist()
    assert taught == [1, 4, 9]


def test_auxk_of_a_perfect_reconstruction_is_finite(sae: TopKSae) -> None:
    values_BSD = rows()
    with torch.no_grad():
        sae.W_enc.zero_()
    assert auxk_loss(sae, values_BSD, torch.zeros_like(values_BSD), torch.tensor([0])).item() == 0.0
