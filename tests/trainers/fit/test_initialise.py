import pytest
import torch

from tests.trainers.in_memory import plan_of, state_of, stream_of
from tests.trainers.planted import Planted


@pytest.mark.parametrize("name", ["topk-sae", "relu-sae", "relu-sae-weighted", "gated-sae", "p-annealing-sae"])
def test_an_sae_starts_with_the_mean_and_three_quarters_of_a_transposed_unit_decoder(
    name: str, one_site: Planted
) -> None:
    stream = stream_of(one_site.values_NSD)
    state = state_of(stream, plan_of(stream, dictionary=name))
    dictionary = state.dictionary
    torch.testing.assert_close(dictionary.W_enc, 0.75 * dictionary.W_dec.t())
    torch.testing.assert_close(dictionary.W_dec.norm(dim=1), torch.ones(256))
    mean_D = torch.from_numpy(one_site.values_NSD[:, 0]).mean(dim=0) * state.scale_S[0]
    torch.testing.assert_close(dictionary.b_dec.detach(), mean_D, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["crosscoder-topk", "crosscoder-l1", "crosscoder-l2"])
def test_a_crosscoder_starts_by_encoding_centred_rows(name: str, three_sites: Planted) -> None:
    stream = stream_of(three_sites.values_NSD)
    state = state_of(stream, plan_of(stream, dictionary=name))
    scaled_BSD = torch.from_numpy(three_sites.values_NSD[:2048]) * state.scale_S[:, None]
    weights = state.dictionary.requires_grad_(requires_grad=False).flat()
    pre_BF = scaled_BSD.flatten(1) @ weights.encoder_XF + weights.encoder_bias_F
    assert float(pre_BF.mean(dim=0).abs().max() / pre_BF.std()) < 0.2
    torch.testing.assert_close(weights.encoder_XF, 0.75 * weights.decoder_FX.t())


def test_the_seed_alone_decides_the_weights(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD)
    torch.manual_seed(1)
    first = state_of(stream, plan_of(stream, seed=5)).dictionary.W_dec
    torch.manual_seed(2)
    again = state_of(stream, plan_of(stream, seed=5)).dictionary.W_dec
    other = state_of(stream, plan_of(stream, seed=6)).dictionary.W_dec
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
