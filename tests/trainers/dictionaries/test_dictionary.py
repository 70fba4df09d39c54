"""What holds for every row of the table of dictionaries."""

import inspect
import json
from typing import Any, get_args

import pytest
import torch

from trainers.cli.options import DictionaryChoice
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.config import DictionaryName

FURTHER = {"gated-sae": {"b_mag": (20,), "r_mag": (20,)}}
"""Parameters that only some have."""


def random_dictionary(name: str, *, sites: int = 3) -> Dictionary:
    kind = DICTIONARIES[name]
    latents = 20 * sites if kind.each_site_has_latents else 20
    shape = Shape(1 if kind.one_site else sites, width=6, latents=latents, kept=4 if kind.keeps_k else None)
    dictionary = kind(shape)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return dictionary


def random_rows(dictionary: Dictionary, rows: int = 11) -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.randn(rows, dictionary.shape.sites, dictionary.shape.width, generator=generator)


def test_the_table_the_config_and_the_command_line_name_the_same_dictionaries() -> None:
    assert tuple(DICTIONARIES) == get_args(DictionaryName)
    assert [*DICTIONARIES, "none"] == [choice.value for choice in DictionaryChoice]


@pytest.mark.parametrize("name", DICTIONARIES)
def test_a_pass_is_encode_then_decode(name: str) -> None:
    dictionary = random_dictionary(name)
    values_BSD = random_rows(dictionary)
    output = dictionary(values_BSD)
    code_BF = dictionary.encode(values_BSD)
    assert code_BF.min() >= 0
    torch.testing.assert_close(output.reconstruction_BSD, dictionary.decode(code_BF))
    assert output.fired_F.tolist() == (code_BF > 0).sum(dim=0).tolist()


@pytest.mark.parametrize("name", DICTIONARIES)
def test_parameters_have_the_shapes_of_the_field(name: str) -> None:
    shapes = {key: tuple(value.shape) for key, value in random_dictionary(name).named_parameters()}
    if "jumprelu" in name:
        assert shapes.pop("log_threshold") == (60 if DICTIONARIES[name].each_site_has_latents else 20,)
    if DICTIONARIES[name].each_site_has_latents:
        wanted: dict[str, tuple[int, ...]] = {"W_dec.0": (20, 3, 6), "W_dec.1": (20, 2, 6), "W_dec.2": (20, 1, 6)}
        wanted |= {"W_enc": (3, 6, 20), "b_enc": (3, 20), "b_dec": (3, 6)}
    elif DICTIONARIES[name].one_site:
        wanted = {"W_enc": (6, 20), "b_enc": (20,), "W_dec": (20, 6), "b_dec": (6,)}
    else:
        wanted = {"W_enc": (3, 6, 20), "b_enc": (20,), "W_dec": (20, 3, 6), "b_dec": (3, 6)}
    assert shapes == wanted | FURTHER.get(name, {})


def test_an_sae_encodes_rows_less_its_decoder_bias() -> None:
    sae = random_dictionary("relu-sae")
    values_BSD = random_rows(sae)
    expected_BF = torch.relu((values_BSD[:, 0] - sae.b_dec) @ sae.W_enc + sae.b_enc)
    torch.testing.assert_close(sae.encode(values_BSD), expected_BF)
    torch.testing.assert_close(sae.decode(expected_BF)[:, 0], expected_BF @ sae.W_dec + sae.b_dec)


def test_a_crosscoder_adds_up_its_sites_and_subtracts_nothing() -> None:
    crosscoder = random_dictionary("crosscoder-l1")
    values_BSD = random_rows(crosscoder)
    expected_BF = torch.relu(torch.einsum("bsd,sdf->bf", values_BSD, crosscoder.W_enc) + crosscoder.b_enc)
    torch.testing.assert_close(crosscoder.encode(values_BSD), expected_BF)
    expected_BSD = torch.einsum("bf,fsd->bsd", expected_BF, crosscoder.W_dec) + crosscoder.b_dec
    torch.testing.assert_close(crosscoder.decode(expected_BF), expected_BSD)


@pytest.mark.parametrize("name", DICTIONARIES)
def test_options_are_keywords_with_the_defaults_that_are_told(name: str) -> None:
    kind = DICTIONARIES[name]
    shape = Shape(1 if kind.one_site else 3, width=6, latents=60, kept=4 if kind.keeps_k else None)
    given = inspect.signature(kind.__init__).parameters
    own = {key: given[key].default for key in kind.options if key in given}
    as_json = [json.dumps({key: each[key] for key in own}) for each in (own, kind.options)]
    assert as_json[0] == as_json[1]
    kind(shape, **kind.options)
    unknown: dict[str, Any] = {"of_nobody": 1}
    with pytest.raises(TypeError):
        kind(shape, **unknown)


@pytest.mark.parametrize("name", DICTIONARIES)
def test_every_parameter_has_a_role(name: str) -> None:
    dictionary = random_dictionary(name)
    assert dictionary.roles().keys() == dict(dictionary.named_parameters()).keys()


@pytest.mark.parametrize("name", ["topk-sae", "relu-sae"])
def test_an_sae_refuses_several_sites(name: str) -> None:
    with pytest.raises(ValueError, match="one site, not 2"):
        DICTIONARIES[name](Shape(2, 6, 20, 4))


@pytest.mark.parametrize("name", [name for name, kind in DICTIONARIES.items() if kind.keeps_k])
def test_a_topk_dictionary_must_be_told_k(name: str) -> None:
    with pytest.raises(ValueError, match="kept"):
        DICTIONARIES[name](Shape(1, 6, 20, None))


def test_the_l1_penalty_is_the_mean_sum_of_the_code() -> None:
    sae = random_dictionary("relu-sae")
    values_BSD = random_rows(sae)
    torch.testing.assert_close(sae(values_BSD).penalty, sae.encode(values_BSD).sum(dim=1).mean())


def test_l1_of_norms_charges_a_latent_for_each_site() -> None:
    crosscoder = random_dictionary("crosscoder-l1")
    values_BSD = random_rows(crosscoder)
    price_F = crosscoder.W_dec.norm(dim=2).sum(dim=1)
    torch.testing.assert_close(
        crosscoder(values_BSD).penalty, (crosscoder.encode(values_BSD) * price_F).sum(dim=1).mean()
    )


def test_l2_of_norms_charges_a_latent_for_its_whole_decoder() -> None:
    crosscoder = random_dictionary("crosscoder-l2")
    values_BSD = random_rows(crosscoder)
    price_F = crosscoder.W_dec.norm(dim=2).square().sum(dim=1).sqrt()
    torch.testing.assert_close(
        crosscoder(values_BSD).penalty, (crosscoder.encode(values_BSD) * price_F).sum(dim=1).mean()
    )


@pytest.mark.parametrize(
    ("sae", "crosscoder"),
    [
        ("topk-sae", "crosscoder-topk"),
        ("batch-topk-sae", "crosscoder-batch-topk"),
        ("matryoshka-sae", "crosscoder-matryoshka"),
        ("jumprelu-sae", "crosscoder-jumprelu"),
        ("relu-sae", "crosscoder-l1"),
        ("relu-sae", "crosscoder-l2"),
    ],
)
def test_a_crosscoder_of_one_site_is_the_sae(sae: str, crosscoder: str) -> None:
    """With decoders of norm 1; what an SAE subtracts before encoding goes into the bias of the crosscoder."""
    one, other = random_dictionary(sae), random_dictionary(crosscoder, sites=1)
    with torch.no_grad():
        one.W_dec.div_(one.W_dec.norm(dim=1, keepdim=True))
        for name, parameter in one.named_parameters():
            dict(other.named_parameters())[name].copy_(parameter.view_as(dict(other.named_parameters())[name]))
        other.b_enc.copy_(one.flat().folded_bias_F)
    values_BSD = random_rows(one)
    have, want = other(values_BSD), one(values_BSD)
    torch.testing.assert_close(have.reconstruction_BSD, want.reconstruction_BSD, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.encode(values_BSD), one.encode(values_BSD), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(have.penalty, want.penalty)
    assert have.also_BSD.keys() == want.also_BSD.keys()
    for name, prefix_BSD in want.also_BSD.items():
        torch.testing.assert_close(have.also_BSD[name], prefix_BSD, rtol=1e-4, atol=1e-4)
    assert have.fired_F.tolist() == want.fired_F.tolist()


def test_decoder_norms_are_told_by_site() -> None:
    crosscoder = random_dictionary("crosscoder-topk")
    torch.testing.assert_close(crosscoder.decoder_norm_FS(), crosscoder.W_dec.norm(dim=2))


def test_the_topk_crosscoder_ranks_latents_by_what_they_contribute_not_by_their_scale() -> None:
    crosscoder = random_dictionary("crosscoder-topk")
    values_BSD = random_rows(crosscoder)
    before_BSD = crosscoder(values_BSD).reconstruction_BSD
    scale_F = torch.linspace(0.1, 10, crosscoder.shape.latents)
    with torch.no_grad():
        crosscoder.W_enc.mul_(scale_F)
        crosscoder.b_enc.mul_(scale_F)
        crosscoder.W_dec.div_(scale_F[:, None, None])
    torch.testing.assert_close(crosscoder(values_BSD).reconstruction_BSD, before_BSD, rtol=1e-4, atol=1e-4)
