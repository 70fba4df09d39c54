"""BatchTopK: the B * K largest of a batch in training, a threshold afterwards."""

import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.test_dictionary import random_dictionary, random_rows
from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.kinds.batch_topk_sae import BatchTopKSae

NAMES = ("batch-topk-sae", "crosscoder-batch-topk")


def made(name: str) -> BatchTopKDictionary:
    dictionary = random_dictionary(name)
    assert isinstance(dictionary, BatchTopKDictionary)
    return dictionary


def ranks_of(dictionary: Dictionary, values_BSD: Tensor) -> tuple[Tensor, Tensor]:
    """Return activations and their ranks, written out."""
    inputs_BSD = values_BSD - dictionary.b_dec if dictionary.one_site else values_BSD
    active_BF = torch.relu(inputs_BSD.flatten(1) @ dictionary.W_enc.reshape(-1, 20) + dictionary.b_enc)
    norm_F = 1 if dictionary.one_site else dictionary.W_dec.norm(dim=2).sum(dim=1)
    return active_BF.detach(), (active_BF * norm_F).detach()


@pytest.mark.parametrize("name", NAMES)
def test_training_keeps_the_largest_of_the_batch(name: str) -> None:
    dictionary = made(name)
    values_BSD = random_rows(dictionary, rows=30)
    active_BF, rank_BF = ranks_of(dictionary, values_BSD)
    kept = rank_BF.flatten().topk(30 * 4).indices
    want_BF = torch.zeros_like(active_BF).flatten().index_put((kept,), active_BF.flatten()[kept]).view_as(active_BF)
    torch.testing.assert_close(dictionary.encode(values_BSD).detach(), want_BF)
    assert int((want_BF > 0).sum()) == 30 * 4
    assert len(set((want_BF > 0).sum(dim=1).tolist())) > 1


@pytest.mark.parametrize("name", NAMES)
def test_the_threshold_is_the_weighted_mean_of_the_cutoffs_of_training(name: str) -> None:
    dictionary = made(name)
    cutoffs = []
    for seed in range(4):
        values_BSD = torch.randn(30, dictionary.shape.sites, 6, generator=torch.Generator().manual_seed(seed))
        dictionary(values_BSD)
        dictionary.after_step()
        cutoffs.append(float(ranks_of(dictionary, values_BSD)[1].flatten().topk(30 * 4).values.min()))
    weights = [0.99 ** (3 - step) for step in range(4)]
    mean = sum(weight * one for weight, one in zip(weights, cutoffs, strict=True)) / sum(weights)
    threshold = dictionary.threshold()
    assert threshold is not None
    assert float(threshold) == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_compares_with_the_threshold_so_a_row_has_one_code(name: str) -> None:
    dictionary = made(name)
    values_BSD = random_rows(dictionary, rows=30)
    dictionary(values_BSD)
    dictionary.after_step()
    dictionary.eval()
    values_BSD = torch.randn(30, dictionary.shape.sites, 6, generator=torch.Generator().manual_seed(3))
    active_BF, rank_BF = ranks_of(dictionary, values_BSD)
    threshold = dictionary.threshold()
    assert threshold is not None
    want_BF = torch.where(rank_BF > threshold, active_BF, 0)
    torch.testing.assert_close(dictionary.encode(values_BSD).detach(), want_BF)
    torch.testing.assert_close(dictionary.encode(values_BSD[:1]).detach(), want_BF[:1])
    torch.testing.assert_close(dictionary(values_BSD).reconstruction_BSD, dictionary.decode(want_BF))


def test_a_latent_at_the_threshold_is_not_active() -> None:
    dictionary = made("batch-topk-sae").eval()
    values_BSD = random_rows(dictionary)
    dictionary.cutoff_weight.fill_(1.0)
    every_BF = dictionary.encode(values_BSD).detach()
    dictionary.cutoff_sum.fill_(every_BF[every_BF > 0].median())
    code_BF = dictionary.encode(values_BSD).detach()
    assert bool((every_BF == dictionary.cutoff_sum).any())
    torch.testing.assert_close(code_BF, torch.where(every_BF > dictionary.cutoff_sum, every_BF, 0))


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_before_the_first_step_keeps_k_of_each_row(name: str) -> None:
    dictionary = made(name).eval()
    values_BSD = random_rows(dictionary, rows=30)
    assert dictionary.threshold_F() is None
    code_BF = dictionary.encode(values_BSD)
    assert int((code_BF > 0).sum(dim=1).max()) <= 4
    torch.testing.assert_close(dictionary.encode(values_BSD[3:4]), code_BF[3:4])
    torch.testing.assert_close(dictionary(values_BSD).reconstruction_BSD, dictionary.decode(code_BF))


def test_evaluation_does_not_move_the_threshold() -> None:
    dictionary = made("batch-topk-sae")
    values_BSD = random_rows(dictionary)
    dictionary(values_BSD)
    dictionary.after_step()
    before = dictionary.threshold()
    dictionary.eval()(3 * values_BSD)
    dictionary.after_step()
    assert torch.equal(dictionary.threshold(), before)  # type: ignore[arg-type]


def test_a_batch_without_active_latents_does_not_count() -> None:
    dictionary = made("batch-topk-sae")
    with torch.no_grad():
        dictionary.b_enc.fill_(-1e6)
    output = dictionary(random_rows(dictionary))
    dictionary.after_step()
    assert int(output.fired_F.sum()) == 0
    assert dictionary.threshold() is None


def test_a_batch_with_fewer_active_latents_keeps_all_of_them() -> None:
    dictionary = made("batch-topk-sae")
    with torch.no_grad():
        dictionary.b_enc.fill_(-3.0)
    values_BSD = random_rows(dictionary)
    active_BF, _ = ranks_of(dictionary, values_BSD)
    assert 0 < int((active_BF > 0).sum()) < 4 * len(values_BSD)
    torch.testing.assert_close(dictionary.encode(values_BSD).detach(), active_BF)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_forgets_nothing_or_too_much_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="threshold_decay"):
        BatchTopKSae(Shape(1, 6, 20, 4), threshold_decay=decay)


def test_rows_times_a_scale_have_their_thresholds_scaled() -> None:
    one, seven = made("crosscoder-batch-topk"), made("crosscoder-batch-topk")
    values_BSD = random_rows(one)
    with torch.no_grad():
        seven.b_enc.mul_(7)
        one(values_BSD), seven(7 * values_BSD)
    one.after_step(), seven.after_step()
    torch.testing.assert_close(seven.threshold(), 7 * one.threshold())  # type: ignore[operator]
    torch.testing.assert_close(seven.eval().encode(7 * values_BSD), 7 * one.eval().encode(values_BSD))
