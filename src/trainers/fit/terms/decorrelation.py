"""Decorrelation: decoder atoms point in different directions."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["decorrelation"]

_BLOCK_NUMBERS: Final = 1 << 24
"""Cosines in memory at a time, where there are more features than atoms: 64 MiB."""


def decorrelation(decoder_FX: Tensor, *, width: int) -> Tensor:
    """Return ``D / (F (F - 1)) * sum_{i != j} cos(d_i, d_j)^2``: 1 for atoms in random directions of one site.

    An atom is the decoder of a latent over all sites, X = S * D. The sum over all pairs is ``||U^T U||_F^2 - F`` with
    U [F, X] the atoms at norm 1, so F x F cosines are never in memory. F > X atoms cannot be orthogonal: with X = D the
    term is at least ``(F - D) / (F - 1)`` (Welch 1974). It depends neither on the norms of the atoms, nor on how often
    a site is repeated.

    Parameters
    ----------
    decoder_FX
        The decoder; atoms of norm 0 count as orthogonal to all others.
    width
        Features D of a site.
    """
    latents = len(decoder_FX)
    norm_F1: Tensor = torch.linalg.vector_norm(decoder_FX, dim=1, keepdim=True)
    unit_FX: Tensor = decoder_FX / norm_F1.clamp_min(torch.finfo(decoder_FX.dtype).tiny)
    all_pairs: Tensor = _SquaredCosines.apply(unit_FX)  # type: ignore[no-untyped-call]
    distinct = all_pairs - unit_FX.square().sum(dim=1).square().sum()
    return distinct * (width / max(latents * (latents - 1), 1))


class _SquaredCosines(torch.autograd.Function):
    """``||U U^T||_F^2``, whose gradient is ``4 U U^T U``: from the Gram matrix [X, X], or from blocks of cosines.

    Always in the number format of the atoms: in bfloat16 the sum would lose what remains after F is subtracted.
    """

    @staticmethod
    def forward(ctx: Any, unit_FX: Tensor) -> Tensor:  # noqa: ANN401 - the type in torch
        latents, width = unit_FX.shape
        with torch.autocast(unit_FX.device.type, enabled=False):
            if width <= latents:
                gram_XX = unit_FX.t() @ unit_FX
                total, quarter_FX = gram_XX.square().sum(), unit_FX @ gram_XX
            else:
                total, quarter_FX = unit_FX.new_zeros(()), torch.empty_like(unit_FX)
                block = max(_BLOCK_NUMBERS // latents, 1)
                for start in range(0, latents, block):
                    cosine_bF = unit_FX[start : start + block] @ unit_FX.t()
                    total += cosine_bF.square().sum()
                    quarter_FX[start : start + block] = cosine_bF @ unit_FX
        ctx.save_for_backward(quarter_FX)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (quarter_FX,) = ctx.saved_tensors
        gradient_FX: Tensor = 4.0 * gradient * quarter_FX
        return gradient_FX
