"""The power of the penalty, its coefficient, and its gradients."""

import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.in_double import drawn, gradients_agree, rows_for
from tests.trainers.in_memory import plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.kinds.p_annealing_sae import PAnnealingSae, annealed_p, balanced_penalty
from trainers.dictionaries.kinds.relu_sae import ReluSae
from trainers.fit.loop import train


def annealing(share: float, *, width: int = 6, latents: int = 20) -> PAnnealingSae:
    sae = drawn(PAnnealingSae(Shape(1, width, latents), p_end=0.2, p_anneal_from=0.1))
    sae.before_step(share)
    return sae


def test_the_power_falls_in_a_line_after_its_share_of_the_rows() -> None:
    assert [annealed_p(share, end=0.2, start=0.1) for share in (0.0, 0.1)] == [1.0, 1.0]
    assert annealed_p(0.55, end=0.2, start=0.1) == pytest.approx(0.6)
    assert annealed_p(1.0, end=0.2, start=0.1) == pytest.approx(0.2)
    assert annealed_p(1.0, end=0.2, start=1.0) == 1.0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_the_penalty_is_a_sum_of_powers_with_the_value_of_the_l1_norm(share: float) -> None:
    sae = annealing(share)
    values_BSD = rows_for(sae)
    code_BF = sae.encode(values_BSD)
    powers, l1 = 0.0, 0.0
    for row_F in code_BF.tolist():
        powers += sum(one**sae.p for one in row_F if one > 0) / len(code_BF)
        l1 += sum(row_F) / len(code_BF)
    penalty = sae(values_BSD).penalty
    assert penalty is not None
    assert penalty.item() == pytest.approx(l1)
    wanted = torch.autograd.grad(l1 / powers * code_BF.clamp_min(1e-300).pow(sae.p).sum() / len(code_BF), sae.W_enc)
    torch.testing.assert_close(torch.autograd.grad(penalty, sae.W_enc), wanted)


def test_gradients_at_a_fixed_coefficient_are_those_of_finite_differences() -> None:
    sae = annealing(0.6, width=4, latents=7)
    values_BSD = rows_for(sae, rows=5)
    code_BF = sae.encode(values_BSD).detach()
    factor = code_BF.sum() / code_BF[code_BF > 0].pow(sae.p).sum()

    def loss() -> Tensor:
        code_BF = sae.encode(values_BSD)
        error: Tensor = (sae(values_BSD).reconstruction_BSD - values_BSD).square().sum()
        return error + factor * code_BF[code_BF > 0].pow(sae.p).sum() / len(code_BF)

    output = sae(values_BSD)
    assert output.penalty is not None
    own = (output.reconstruction_BSD - values_BSD).square().sum() + output.penalty
    for have, want in zip(
        torch.autograd.grad(own, [*sae.parameters()]), torch.autograd.grad(loss(), [*sae.parameters()]), strict=True
    ):
        torch.testing.assert_close(have, want)
    assert gradients_agree(sae, loss)


@pytest.mark.parametrize("p", [1.0, 0.6, 0.2])
def test_codes_of_any_size_have_the_same_share_of_the_penalty_and_silent_ones_no_gradient(p: float) -> None:
    code_BF = torch.tensor([[0.0, 2.0, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    (gradient_BF,) = torch.autograd.grad(balanced_penalty(code_BF, p), code_BF)
    (again_BF,) = torch.autograd.grad(balanced_penalty(7 * code_BF, p), code_BF)
    torch.testing.assert_close(again_BF, 7 * gradient_BF)
    assert bool(torch.isfinite(gradient_BF).all())
    if p < 1:
        assert gradient_BF[0, 2] > gradient_BF[0, 1]  # small activations pay more


def test_a_code_of_zeros_has_no_penalty() -> None:
    code_BF = torch.zeros(3, 4, dtype=torch.float32, requires_grad=True)
    penalty = balanced_penalty(code_BF, 0.2)
    (gradient_BF,) = torch.autograd.grad(penalty, code_BF)
    assert penalty.item() == 0
    assert not gradient_BF.any()


def test_before_p_falls_it_is_the_relu_sae() -> None:
    sae, relu = annealing(0.05), drawn(ReluSae(Shape(1, 6, 20)))
    values_BSD = rows_for(sae)
    torch.testing.assert_close(sae(values_BSD).penalty, relu(values_BSD).penalty)


def test_the_power_of_a_step_follows_from_the_rows_before_it(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD[:2000], batch_rows=200)
    plan = plan_of(stream, dictionary="p-annealing-sae", latents=64, steps=20, p_end=0.5, p_anneal_from=0.5)
    assert plan.options == {"p_end": 0.5, "p_anneal_from": 0.5}
    state = state_of(stream, plan)
    powers = [state.dictionary.p for _ in train(state, stream, plan)]
    assert powers == pytest.approx([1.0] * 11 + [1 - 0.05 * step for step in range(1, 10)])


def test_annealing_gives_sparser_codes_than_l1_at_no_worse_a_fit(one_site: Planted) -> None:
    """Three directions make each row."""
    stream = stream_of(one_site.values_NSD, batch_rows=512)
    options = {"latents": 96, "steps": 300, "sparsity": 0.2}
    (_, annealed), (_, plain) = (
        train_on(stream, dictionary=name, **options) for name in ("p-annealing-sae", "relu-sae")
    )
    assert annealed[-1].report.batch_l0 < 0.8 * plain[-1].report.batch_l0
    explained = [steps[-1].report.batch_explained_variance or 0.0 for steps in (annealed, plain)]
    assert explained[0] > explained[1] - 0.01
