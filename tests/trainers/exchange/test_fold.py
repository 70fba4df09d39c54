"""Folded weights give raw rows the codes that training gives scaled rows."""

import pytest
import torch

from tests.trainers.exchange.made import draw
from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.exchange.facts import Activation, DictionaryFacts, SiteFacts
from trainers.exchange.fold import activation_of, folded_weights
from trainers.exchange.trained import TrainedDictionary

SCALES = torch.tensor([0.02, 3.0, 70.0])
"""Norms of sites that differ by more than a thousand."""


def dictionary_of(kind: str) -> Dictionary:
    cls = DICTIONARIES[kind]
    sites = 1 if cls.one_site else 3
    latents = 20 * sites if cls.each_site_has_latents else 20
    dictionary = cls(Shape(sites, 6, latents, 4 if cls.keeps_k else None))
    with torch.no_grad():
        buffers = (one for one in dictionary.buffers() if one.ndim)
        for seed, parameter in enumerate([*dictionary.parameters(), *buffers]):
            parameter.copy_(draw(*parameter.shape, seed=seed))
    return dictionary.eval()


def trained_of(dictionary: Dictionary) -> TrainedDictionary:
    shape = dictionary.shape
    facts = DictionaryFacts(
        dictionary="any",
        sites=tuple(SiteFacts(name=f"s{s}", module=None, width=shape.width) for s in range(shape.sites)),
        latents=shape.latents,
        activation=activation_of(dictionary),
        subtracts_b_dec=dictionary.subtracts_b_dec,
        layered=dictionary.each_site_has_latents,
        input_scale=tuple(SCALES[: shape.sites].tolist()),
        model=None,
        origin="a test",
    )
    return TrainedDictionary(facts, folded_weights(dictionary, SCALES[: shape.sites]))


@pytest.mark.parametrize("kind", DICTIONARIES)
def test_codes_and_reconstructions_are_those_of_training(kind: str) -> None:
    dictionary = dictionary_of(kind)
    trained = trained_of(dictionary)
    scale_S1 = SCALES[: dictionary.shape.sites, None]
    scaled_BSD = draw(50, dictionary.shape.sites, 6, seed=9)
    raw_BSD = scaled_BSD / scale_S1
    code_BF = trained.encode(raw_BSD)
    torch.testing.assert_close(code_BF, dictionary.encode(scaled_BSD).detach(), rtol=1e-5, atol=1e-5)
    wanted_BSD = dictionary(scaled_BSD).reconstruction_BSD.detach()
    torch.testing.assert_close(trained.reconstruct(raw_BSD) * scale_S1, wanted_BSD, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["batch-topk-sae", "crosscoder-batch-topk"])
def test_the_threshold_of_training_is_that_of_raw_rows(kind: str) -> None:
    """A crosscoder compares ranks with it, so it is the same for all latents."""
    dictionary = dictionary_of(kind)
    assert isinstance(dictionary, BatchTopKDictionary)
    assert activation_of(dictionary) == Activation(name="topk", k=4)
    dictionary.cutoff_sum.fill_(0.75)
    dictionary.cutoff_weight.fill_(0.5)
    assert activation_of(dictionary) == Activation(name="jumprelu")
    trained = trained_of(dictionary)
    scaled_BSD = draw(50, dictionary.shape.sites, 6, seed=9)
    code_BF = trained.encode(scaled_BSD / SCALES[: dictionary.shape.sites, None])
    torch.testing.assert_close(code_BF, dictionary.encode(scaled_BSD).detach(), rtol=1e-5, atol=1e-5)
    assert trained.threshold is not None
    assert trained.threshold.tolist() == [1.5] * 20


def test_the_closed_form_with_unequal_norms() -> None:
    dictionary = dictionary_of("crosscoder-l1")
    weights = folded_weights(dictionary, SCALES)
    for site, scale in enumerate(SCALES):
        torch.testing.assert_close(weights["W_enc"][site], dictionary.W_enc[site].detach() * scale)
        torch.testing.assert_close(weights["W_dec"][:, site], dictionary.W_dec[:, site].detach() / scale)
        torch.testing.assert_close(weights["b_dec"][site], dictionary.b_dec[site].detach() / scale)
    torch.testing.assert_close(weights["b_enc"], dictionary.b_enc.detach())
    assert "rank" not in weights


def test_a_topk_crosscoder_ranks_as_in_training() -> None:
    """Decoder norms in raw units would choose other latents."""
    dictionary = dictionary_of("crosscoder-topk")
    weights = folded_weights(dictionary, SCALES)
    torch.testing.assert_close(weights["rank"], dictionary.W_dec.detach().norm(dim=2).sum(dim=1))
    assert not torch.allclose(weights["rank"], weights["W_dec"].norm(dim=2).sum(dim=1))


def test_the_activation_of_each_kind() -> None:
    assert activation_of(dictionary_of("topk-sae")) == Activation(name="topk", k=4)
    assert activation_of(dictionary_of("jumprelu-sae")) == Activation(name="jumprelu")
    assert activation_of(dictionary_of("relu-sae")) == Activation(name="relu")
    assert activation_of(dictionary_of("gated-sae")) == Activation(name="jumprelu")
