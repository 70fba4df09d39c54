"""JumpReLU: thresholds that are learned, and penalties that count latents."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.test_dictionary import random_rows
from trainers.dictionaries.codes import jumprelu
from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.kinds.crosscoder_jumprelu import CrosscoderJumpRelu
from trainers.dictionaries.kinds.jumprelu_sae import JumpReluSae


def made(kind: type[JumpReluDictionary], **options: object) -> JumpReluDictionary:
    dictionary = kind(Shape(1 if kind.one_site else 3, 6, 20), **options).double()  # type: ignore[arg-type]
    dictionary.begin(spread=1.5, first_pre=1.0, seed=0)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in dictionary.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * drawn if name == "log_threshold" else drawn)
    return dictionary


def rows_of(dictionary: JumpReluDictionary) -> Tensor:
    return random_rows(dictionary, rows=40).double()


def naive(dictionary: JumpReluDictionary, values_BSD: Tensor) -> tuple[Tensor, Tensor]:
    """Return pre-activations and code, written out."""
    inputs_BSD = values_BSD - dictionary.b_dec if dictionary.one_site else values_BSD
    pre_BF = inputs_BSD.flatten(1) @ dictionary.W_enc.reshape(-1, 20) + dictionary.b_enc
    return pre_BF, pre_BF * (pre_BF > torch.exp(dictionary.log_threshold))


@pytest.mark.parametrize("kind", [JumpReluSae, CrosscoderJumpRelu])
def test_a_latent_is_active_above_its_threshold(kind: type[JumpReluDictionary]) -> None:
    dictionary = made(kind)
    values_BSD = rows_of(dictionary)
    _, want_BF = naive(dictionary, values_BSD)
    torch.testing.assert_close(dictionary.encode(values_BSD), want_BF)
    assert 0 < int((want_BF > 0).sum()) < want_BF.numel() / 2
    torch.testing.assert_close(dictionary(values_BSD).reconstruction_BSD, dictionary.decode(want_BF))
    torch.testing.assert_close(dictionary.threshold_F(), dictionary.log_threshold.exp())


@pytest.mark.parametrize("kind", [JumpReluSae, CrosscoderJumpRelu])
@pytest.mark.parametrize("penalty", ["target", "linear", "tanh"])
def test_penalties_are_those_written_out(kind: type[JumpReluDictionary], penalty: str) -> None:
    dictionary = made(kind, l0_penalty=penalty, l0_target=5.0)
    values_BSD = rows_of(dictionary)
    _, code_BF = naive(dictionary, values_BSD)
    l0 = (code_BF > 0).double().sum(dim=1).mean()
    norm_F = 1.0 if kind.one_site else dictionary.W_dec.flatten(1).norm(dim=1)
    want = {
        "target": (l0 / 5 - 1) ** 2,
        "linear": l0 / 5,
        "tanh": torch.tanh(4 * code_BF * norm_F / 1.5).sum(dim=1).mean() / 5,
    }[penalty]
    torch.testing.assert_close(dictionary(values_BSD).penalty, want)


@pytest.mark.parametrize("kind", [JumpReluSae, CrosscoderJumpRelu])
@pytest.mark.parametrize("penalty", ["target", "linear", "tanh"])
def test_sparse_sums_are_those_of_dense_arithmetic_gradients_included(
    kind: type[JumpReluDictionary], penalty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionary = made(kind, l0_penalty=penalty, l0_target=5.0, bandwidth=0.3)
    values_BSD = rows_of(dictionary)
    parameters = [*dictionary.parameters()]
    outputs = []
    for most in (1.0, 0.0):
        monkeypatch.setattr(jumprelu, "_MOST_SPARSE", most)
        outputs.append(dictionary(values_BSD))
    sparse, dense = outputs
    assert sparse.code_BF is None
    assert dense.code_BF is not None
    torch.testing.assert_close(sparse.reconstruction_BSD, dense.reconstruction_BSD)
    torch.testing.assert_close(sparse.penalty, dense.penalty)
    assert sparse.fired_F.tolist() == dense.fired_F.tolist()
    have, want = (
        torch.autograd.grad((one.reconstruction_BSD - values_BSD).square().sum() + 3 * one.penalty, parameters)
        for one in outputs
    )
    for one, other in zip(have, want, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_weights_are_those_of_finite_differences() -> None:
    """All but thresholds, whose gradient is an estimate."""
    dictionary = made(JumpReluSae)
    values_BSD = rows_of(dictionary)[:7]

    def error(*parts: Tensor) -> Tensor:
        for parameter, part in zip(["W_enc", "b_enc", "W_dec", "b_dec"], parts, strict=True):
            delattr(dictionary, parameter)
            setattr(dictionary, parameter, part)
        output: DictionaryOutput = dictionary(values_BSD)
        return (output.reconstruction_BSD - values_BSD).square().sum()

    parts = tuple(
        getattr(dictionary, name).detach().clone().requires_grad_() for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    )
    assert torch.autograd.gradcheck(error, parts)


def test_the_gradient_of_a_threshold_is_that_of_the_paper() -> None:
    dictionary = made(JumpReluSae, bandwidth=0.2, l0_penalty="linear", l0_target=1.0)
    values_BSD = rows_of(dictionary)
    output = dictionary(values_BSD)
    (found_F,) = torch.autograd.grad(
        (output.reconstruction_BSD - values_BSD).square().sum() + 2.0 * output.penalty, [dictionary.log_threshold]
    )
    pre_BF, code_BF = naive(dictionary, values_BSD)
    threshold_F, width = dictionary.threshold_F(), 0.2 * 1.5
    error_BD = dictionary.decode(code_BF)[:, 0] - values_BSD[:, 0]
    d_code_BF = 2 * error_BD @ dictionary.W_dec.T
    near_BF = ((pre_BF - threshold_F).abs() < width / 2).double()
    d_threshold_F = -(near_BF * (threshold_F * d_code_BF + 2.0 / 40)).sum(dim=0) / width
    torch.testing.assert_close(found_F, (d_threshold_F * threshold_F).detach())


def test_the_target_pulls_thresholds_up_above_it_and_down_below_it() -> None:
    for target, sign in ((0.5, -1), (19.0, 1)):
        dictionary = made(JumpReluSae, l0_target=target, bandwidth=2.0)
        (slope_F,) = torch.autograd.grad(dictionary(rows_of(dictionary)).penalty, [dictionary.log_threshold])
        assert sign * float(slope_F.sum()) > 0


def test_the_dense_code_is_returned_where_it_is_wanted() -> None:
    dictionary = made(JumpReluSae)
    dictionary.keep_code = True
    values_BSD = rows_of(dictionary)
    torch.testing.assert_close(dictionary(values_BSD).code_BF, dictionary.encode(values_BSD))


@pytest.mark.parametrize("options", [{"l0_target": 0.0}, {"bandwidth": 0.0}])
def test_a_target_and_a_bandwidth_are_positive(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="both are positive"):
        JumpReluSae(Shape(1, 6, 20), **options)
