"""The power of the penalty, its coefficient, and its gradients."""

import math

import pytest
import torch
from torch import Tensor

from tests.trainers.dictionaries.in_double import drawn, gradients_agree, rows_for
from tests.trainers.in_memory import plan_of, state_of, stream_of, train_on
from tests.trainers.planted import Planted
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.kinds.p_annealing_sae import PAnnealingSae, annealed_p, power_sum
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


def naive_sum(code_BF: Tensor, p: float) -> float:
    """Return ``sum (f + e)^p - e^p`` with e a hundredth of the mean active activation."""
    active: list[float] = [one for row in code_BF.tolist() for one in row if one > 0]
    small = 0.01 * sum(active) / len(active)
    return math.fsum((one + small) ** p - small**p for one in active)


def test_the_coefficient_follows_p_so_that_no_change_of_it_makes_the_penalty_jump() -> None:
    """Three steps with weights that change between them, beside the product of ratios written out."""
    sae = annealing(0.0)
    values_BSD = rows_for(sae)
    before, factor = 1.0, 1.0
    for share in (0.1, 0.4, 0.4, 0.9):
        sae.before_step(share)
        p = annealed_p(share, end=0.2, start=0.1)
        code_BF = sae.encode(values_BSD)
        factor *= naive_sum(code_BF, before) / naive_sum(code_BF, p)
        penalty = sae(values_BSD).penalty
        assert penalty is not None
        assert penalty.item() == pytest.approx(factor * naive_sum(code_BF, p) / len(code_BF), rel=1e-5)
        sae.after_step()
        before = p
        with torch.no_grad():
            sae.W_enc.mul_(1.5)
    assert sae.balance.tolist() == pytest.approx([before, factor], rel=1e-5)


def test_passes_outside_of_training_leave_the_coefficient() -> None:
    sae = annealing(0.5)
    sae.eval()
    sae(rows_for(sae))
    sae.after_step()
    assert sae.balance.tolist() == [1.0, 1.0]


def test_gradients_are_those_of_finite_differences() -> None:
    """The coefficient and the width of the bend at 0 are held still."""
    sae = annealing(0.6, width=4, latents=7)
    values_BSD = rows_for(sae, rows=5)
    held_BF = sae.encode(values_BSD).detach()
    small = 0.01 * held_BF.sum() / (held_BF > 0).sum()
    factor = naive_sum(held_BF, 1.0) / naive_sum(held_BF, sae.p)

    def loss() -> Tensor:
        code_BF = sae.encode(values_BSD)
        error: Tensor = (sae.decode(code_BF) - values_BSD).square().sum()
        return error + factor * ((code_BF + small).pow(sae.p) - small.pow(sae.p)).sum() / len(code_BF)

    output: DictionaryOutput = sae(values_BSD)
    assert output.penalty is not None
    own = (output.reconstruction_BSD - values_BSD).square().sum() + output.penalty
    parameters = [*sae.parameters()]
    for have, want in zip(torch.autograd.grad(own, parameters), torch.autograd.grad(loss(), parameters), strict=True):
        torch.testing.assert_close(have, want, rtol=1e-5, atol=1e-7)
    assert gradients_agree(sae, loss)


@pytest.mark.parametrize("p", [1.0, 0.6, 0.2])
def test_codes_of_any_scale_are_priced_alike_and_tiny_ones_have_a_finite_gradient(p: float) -> None:
    code_BF = torch.tensor([[0.0, 2.0, 0.5], [0.0, 1e-30, 1.0]], dtype=torch.float64, requires_grad=True)
    (gradient_BF,) = torch.autograd.grad(power_sum(code_BF, p), code_BF)
    (again_BF,) = torch.autograd.grad(power_sum(7 * code_BF, p), code_BF)
    torch.testing.assert_close(again_BF, 7**p * gradient_BF)
    assert power_sum(7 * code_BF, p).item() == pytest.approx(7**p * power_sum(code_BF, p).item())
    assert bool(torch.isfinite(gradient_BF).all())
    if p < 1:
        assert gradient_BF[1, 1] > gradient_BF[0, 2] > gradient_BF[0, 1]  # small activations pay more


def test_a_code_of_zeros_has_no_penalty() -> None:
    code_BF = torch.zeros(3, 4, dtype=torch.float32, requires_grad=True)
    power = power_sum(code_BF, 0.2)
    (gradient_BF,) = torch.autograd.grad(power, code_BF)
    assert power.item() == 0
    assert bool(torch.isfinite(gradient_BF).all())


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
