"""Codes of the latents whose rank is above a limit: a limit of the batch, or a fixed threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from trainers.dictionaries.codes.sparse import (
    Chosen,
    Pass,
    Scratch,
    above,
    can_be_sparse,
    dense_pass,
    sparse_encode,
    sparse_pass,
)
from trainers.dictionaries.dictionary import Weights

__all__ = ["Limit", "batch_cutoff", "ranked_code", "ranked_pairs", "ranked_pass"]

Limit = Callable[[Tensor], Tensor]
"""From ranked pre-activations [B, F] to those that are above it, bool [B, F]."""

_STRIDE: Final = 17
"""Of the numbers that are looked at first; a prime, so that they are of all latents."""
_LEAST_SAMPLED: Final = 1 << 16


def ranked_code(weights: Weights, values_BX: Tensor, limit: Limit, *, score_F: Tensor | None = None) -> Tensor:
    """Return the dense code [B, F]: ``relu(x W_enc + bias)`` where its rank is above the limit, else zero.

    Parameters
    ----------
    score_F
        Latents are ranked by activation times this; None ranks by activation.
    """
    pre_BF = weights.pre(values_BX)
    return torch.where(_chosen(pre_BF.detach(), limit, score_F), pre_BF, 0)


def ranked_pass(
    weights: Weights,
    values_BX: Tensor,
    limit: Limit,
    *,
    score_F: Tensor | None = None,
    scratch: Scratch | None = None,
    dense: bool = False,
) -> Pass:
    """Encode and decode; gradients flow to the weights, and to rows that ask for one, through dense products.

    Parameters
    ----------
    dense
        Whether to make the dense code in any case.
    """
    if dense or not can_be_sparse(values_BX):
        return dense_pass(weights, ranked_code(weights, values_BX, limit, score_F=score_F))

    return sparse_pass(weights, *ranked_pairs(weights, values_BX, limit, score_F=score_F, scratch=scratch))


def ranked_pairs(
    weights: Weights,
    values_BX: Tensor,
    limit: Limit,
    *,
    score_F: Tensor | None = None,
    scratch: Scratch | None = None,
) -> tuple[Tensor, Chosen]:
    """Return the code of the latents above the limit [N], with sparse gradients, by row and then by latent."""

    def choose(pre_BF: Tensor) -> Chosen:
        return above(_chosen(pre_BF, limit, score_F, out_BF=None if scratch is None else scratch.rank(pre_BF)))

    return sparse_encode(weights, values_BX, choose, scratch=scratch)


def _chosen(pre_BF: Tensor, limit: Limit, score_F: Tensor | None, out_BF: Tensor | None = None) -> Tensor:
    ranked_BF = pre_BF if score_F is None else torch.mul(pre_BF, score_F, out=out_BF)
    return limit(ranked_BF).logical_and_(pre_BF > 0)


def batch_cutoff(ranked_BF: Tensor, count: int) -> Tensor:
    """Return the `count`-th largest number, or the smallest positive one if there are fewer; inf if there is none.

    On a CPU a sample tells which numbers are worth sorting; the result is exact either way.

    Examples
    --------
    >>> float(batch_cutoff(torch.tensor([[3.0, -1.0], [2.0, 5.0]]), 2))
    3.0
    """
    flat_N = ranked_BF.detach().flatten()
    count = min(count, len(flat_N))
    if flat_N.device.type == "cpu":
        flat_N = flat_N.float() if flat_N.dtype == torch.bfloat16 else flat_N
        found = torch.from_numpy(_worth_sorting(flat_N.numpy(), count))
        kept_K = torch.from_numpy(np.partition(found.numpy(), len(found) - count)[len(found) - count :])
    else:
        kept_K = torch.topk(flat_N, count, sorted=False).values
    return torch.where(kept_K > 0, kept_K, torch.inf).min()


def _worth_sorting(values_N: np.ndarray, count: int) -> np.ndarray:
    """Return some of the numbers, among them the `count` largest."""
    if len(values_N) < _LEAST_SAMPLED:
        return values_N
    sample = values_N[::_STRIDE]
    place = len(sample) - min(len(sample), count // _STRIDE + count // (8 * _STRIDE) + 64)
    found = values_N[values_N >= np.partition(sample, place)[place]]
    return found if len(found) >= count else values_N
