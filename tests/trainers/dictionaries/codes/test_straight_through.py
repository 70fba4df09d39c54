import torch

from trainers.dictionaries.codes.straight_through import jump, step

PRE = torch.tensor([-1.0, 0.85, 0.95, 1.0, 1.05, 1.2, 3.0], dtype=torch.float64)
THRESHOLD = torch.ones(7, dtype=torch.float64)
NEAR = torch.tensor([0.0, 0, 1, 1, 1, 0, 0], dtype=torch.float64)
"""Within half of a bandwidth of 0.2."""
UP = torch.arange(1.0, 8, dtype=torch.float64)


def gradients(function: object) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    pre, threshold = PRE.clone().requires_grad_(), (2 * THRESHOLD / 2).requires_grad_()
    value = function(pre, threshold, 0.2)  # type: ignore[operator]
    return value, *torch.autograd.grad((value * UP).sum(), [pre, threshold], allow_unused=True)


def test_a_jump_passes_what_is_above_strictly_and_its_gradient_smears_the_step() -> None:
    value, d_pre, d_threshold = gradients(jump)
    assert value.tolist() == [0, 0, 0, 0, 1.05, 1.2, 3]
    assert d_pre is not None
    assert d_pre.tolist() == [0, 0, 0, 0, 5, 6, 7]
    torch.testing.assert_close(d_threshold, -UP * NEAR / 0.2)


def test_a_step_counts_and_teaches_thresholds_only() -> None:
    value, d_pre, d_threshold = gradients(step)
    assert value.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert d_pre is None
    torch.testing.assert_close(d_threshold, -UP * NEAR / 0.2)


def test_the_estimate_is_the_slope_of_the_mean_over_many_pre_activations() -> None:
    """For pre-activations of known density the mean count of a threshold t falls with the density there."""
    pre = torch.linspace(0, 2, 200_001, dtype=torch.float64)
    threshold = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    for function, slope in ((step, -0.5), (jump, -0.5 * 0.7)):
        (found,) = torch.autograd.grad(function(pre, threshold.expand_as(pre), 0.1).mean(), threshold)
        assert abs(float(found) - slope) < 1e-3
