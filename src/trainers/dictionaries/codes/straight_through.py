"""Step functions that pass a gradient to their threshold (Rajamanoharan et al. 2024, "Jumping Ahead", section 4).

The gradient of a step is that of a step smeared over a bandwidth: the density of pre-activations near the threshold,
estimated from the batch with a rectangle as its kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["jump", "step"]


def jump(pre: Tensor, threshold: Tensor, bandwidth: float | Tensor) -> Tensor:
    """Return the pre-activations that are above their thresholds, else 0.

    The gradient of a threshold t is ``-(t / bandwidth) * |pre - t| < bandwidth / 2``; that of a pre-activation is 1
    above the threshold and 0 below.

    Parameters
    ----------
    pre, threshold
        Of equal shape.
    """
    return _Jump.apply(pre, threshold, bandwidth)  # type: ignore[no-untyped-call, no-any-return]


def step(pre: Tensor, threshold: Tensor, bandwidth: float | Tensor) -> Tensor:
    """Return 1 where a pre-activation is above its threshold, else 0.

    The gradient of a threshold t is ``-(1 / bandwidth) * |pre - t| < bandwidth / 2``; pre-activations have none.
    """
    return _Step.apply(pre, threshold, bandwidth)  # type: ignore[no-untyped-call, no-any-return]


def _near(pre: Tensor, threshold: Tensor, bandwidth: float | Tensor) -> Tensor:
    return ((pre - threshold).abs() < bandwidth / 2).to(threshold.dtype)


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float | Tensor) -> Tensor:  # noqa: ANN401 - torch
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return torch.where(pre > threshold, pre, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        pre, threshold = ctx.saved_tensors
        d_threshold = -gradient * threshold / ctx.bandwidth * _near(pre, threshold, ctx.bandwidth)
        return gradient * (pre > threshold), d_threshold, None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float | Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(threshold.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        pre, threshold = ctx.saved_tensors
        return None, -gradient / ctx.bandwidth * _near(pre, threshold, ctx.bandwidth), None
