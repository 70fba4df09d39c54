"""Matryoshka: each prefix of the latents reconstructs."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainers.dictionaries.test_dictionary import random_rows
from trainers.dictionaries.codes.matryoshka import MatryoshkaDictionary, drawn_ends, ends_of
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.kinds.batch_topk_sae import BatchTopKSae
from trainers.dictionaries.kinds.crosscoder_matryoshka import CrosscoderMatryoshka
from trainers.dictionaries.kinds.matryoshka_sae import MatryoshkaSae

KINDS = [MatryoshkaSae, CrosscoderMatryoshka]
GROUPS = (0.1, 0.2, 0.7)


def made(kind: type[MatryoshkaDictionary], **options: Any) -> MatryoshkaDictionary:
    dictionary = kind(Shape(1 if kind.one_site else 3, 6, 20, 4), **{"groups": GROUPS} | options).double()
    dictionary.begin(spread=1.0, first_pre=1.0, seed=5)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return dictionary


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("draw", ["fixed", "random"])
def test_prefixes_are_those_of_separate_dense_decodes(kind: type[MatryoshkaDictionary], dense: bool, draw: str) -> None:
    dictionary = made(kind, group_draw=draw)
    dictionary.keep_code = dense
    values_BSD = random_rows(dictionary, rows=30).double()
    code_BF = dictionary.encode(values_BSD)
    *ends, last = dictionary.prefixes()
    output = dictionary(values_BSD)
    assert (list(output.also_BSD), last) == (["prefix_1", "prefix_2"], 20)
    for end, prefix_BSD in zip(ends, output.also_BSD.values(), strict=True):
        first_BF = torch.where(torch.arange(20) < end, code_BF, 0)
        torch.testing.assert_close(prefix_BSD, dictionary.decode(first_BF))
    torch.testing.assert_close(output.reconstruction_BSD, dictionary.decode(code_BF))
    assert output.fired_F.tolist() == (code_BF > 0).sum(dim=0).tolist()
    assert output.weight == pytest.approx(1 / 3)
    assert (output.code_BF is not None) == dense


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_gradients_are_those_of_dense_arithmetic(kind: type[MatryoshkaDictionary]) -> None:
    dictionary = made(kind)
    values_BSD = random_rows(dictionary, rows=30).double()
    found = []
    for dense in (False, True):
        dictionary.keep_code = dense
        output = dictionary(values_BSD)
        every = [output.reconstruction_BSD, *output.also_BSD.values()]
        loss = torch.stack([(one - values_BSD).square().sum() for one in every]).sum()
        found.append(torch.autograd.grad(loss, [*dictionary.parameters()]))
    for have, want in zip(*found, strict=True):
        torch.testing.assert_close(have, want)


def test_gradients_are_those_of_finite_differences() -> None:
    dictionary = made(MatryoshkaSae)
    values_BSD = random_rows(dictionary, rows=5).double()
    names = [name for name, _ in dictionary.named_parameters()]

    def loss(*parts: torch.Tensor) -> torch.Tensor:
        for name, part in zip(names, parts, strict=True):
            delattr(dictionary, name)
            setattr(dictionary, name, part)
        output: DictionaryOutput = dictionary(values_BSD)
        every = [output.reconstruction_BSD, *output.also_BSD.values()]
        return torch.stack([(one - values_BSD).square().sum() for one in every]).mean()

    parts = tuple(parameter.detach().clone().requires_grad_() for parameter in dictionary.parameters())
    assert torch.autograd.gradcheck(loss, parts)


def test_one_group_is_batch_topk() -> None:
    one, plain = made(MatryoshkaSae, groups=(1.0,)), BatchTopKSae(Shape(1, 6, 20, 4)).double()
    plain.load_state_dict({key: value for key, value in one.state_dict().items() if key in plain.state_dict()})
    values_BSD = random_rows(one).double()
    have, want = one(values_BSD), plain(values_BSD)
    assert (dict(have.also_BSD), have.weight) == ({}, 1.0)
    torch.testing.assert_close(have.reconstruction_BSD, want.reconstruction_BSD)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_uses_all_latents_and_one_reconstruction(kind: type[MatryoshkaDictionary]) -> None:
    dictionary = made(kind)
    values_BSD = random_rows(dictionary, rows=30).double()
    dictionary(values_BSD)
    dictionary.after_step()
    dictionary.eval()
    output = dictionary(values_BSD)
    assert dict(output.also_BSD) == {}
    torch.testing.assert_close(output.reconstruction_BSD, dictionary.decode(dictionary.encode(values_BSD)))


@pytest.mark.parametrize(
    ("groups", "latents", "ends"),
    [
        ((0.5, 0.5), 10, (5, 10)),
        ((1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32), 1024, (32, 96, 224, 480, 1024)),
        ((0.002, 0.0156, 0.125, 0.8574), 1000, (2, 18, 143, 1000)),
        ((0.002, 0.0156, 0.125, 0.8574), 6, (1, 2, 3, 6)),
        ((0.9, 0.05, 0.05), 3, (1, 2, 3)),
    ],
)
def test_every_group_has_its_share_and_at_least_one_latent(
    groups: tuple[float, ...], latents: int, ends: tuple[int, ...]
) -> None:
    assert ends_of(groups, latents) == ends
    sizes = made(MatryoshkaSae).group_sizes
    assert sizes == (2, 4, 14)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ((), "positive shares"),
        ((0.5, 0.4), "sum to 1"),
        ((1.5, -0.5), "positive"),
        ((0.05,) * 20, "20 groups of 10 latents"),
    ],
)
def test_shares_that_are_none_are_refused(groups: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ends_of(groups, 10)


def test_random_prefixes_are_a_function_of_seed_and_step() -> None:
    dictionary, again, other = (made(MatryoshkaSae, group_draw="random") for _ in range(3))
    other.begin(spread=1.0, first_pre=1.0, seed=6)
    history = []
    for _ in range(20):
        history.append(dictionary.prefixes())
        dictionary.after_step()
    assert len(set(history)) > 5
    again.load_state_dict(dictionary.state_dict())
    assert again.prefixes() == dictionary.prefixes()
    again.steps_done.fill_(7)
    assert again.prefixes() == history[7]
    assert other.prefixes() != history[0]
    assert dictionary.group_sizes is None


def test_lengths_are_of_a_pareto_distribution_between_the_first_group_and_all() -> None:
    lengths = np.array([drawn_ends(0, step, like=(4, 8, 400))[:-1] for step in range(4000)]).flatten()
    assert (lengths.min(), lengths.max() <= 400) == (4, True)
    for bound in (8, 40, 200):
        share = (bound**-0.5 - 400**-0.5) / (4**-0.5 - 400**-0.5)
        assert float((lengths >= bound).mean()) == pytest.approx(share, abs=0.02)
    assert all(one <= other for one, other in pairwise(drawn_ends(0, 1, like=(1, 5, 9, 30))))
