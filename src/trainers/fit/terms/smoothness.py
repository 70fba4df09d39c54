"""Temporal smoothness: neighbouring residues of a sequence have similar codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["expected_pairs", "rows_for_pairs", "smoothness"]


def smoothness(code_BF: Tensor, pair_2P: Tensor) -> Tensor:
    """Return ``sum_p ||c_p - c_p+1||^2 / sum_p (||c_p||^2 + ||c_p+1||^2)`` over pairs of neighbours.

    It is 0 if neighbours have equal codes, and 1 if they share no latent; it does not depend on the scale of codes,
    so small codes do not make it small. Both are sums over the pairs of the batch. 0 without pairs.

    Parameters
    ----------
    code_BF
        Dense codes.
    pair_2P
        Indices of rows: of the earlier residue of each pair, and of the one after it.
    """
    if not pair_2P.shape[1]:
        return code_BF.new_zeros(())
    code_BF = code_BF.float() if code_BF.dtype == torch.bfloat16 else code_BF
    before_PF, after_PF = code_BF[pair_2P[0]], code_BF[pair_2P[1]]
    size = before_PF.square().sum() + after_PF.square().sum()
    return (before_PF - after_PF).square().sum() / size.clamp_min(torch.finfo(size.dtype).tiny)


def expected_pairs(*, rows: int, batch_rows: int) -> float:
    """Return the pairs of neighbours that a batch holds on average, at most: rows of a store are shuffled.

    Each row of a batch has one successor, which is in the same batch with probability ``(B - 1) / (N - 1)``.

    Examples
    --------
    >>> round(expected_pairs(rows=1_000_000, batch_rows=2048), 2)
    4.19
    """
    return batch_rows * (batch_rows - 1) / max(rows - 1, 1)


def rows_for_pairs(*, rows: int, pairs: float) -> int:
    """Return the rows of a batch that holds so many pairs on average.

    Examples
    --------
    >>> rows_for_pairs(rows=1_000_000, pairs=1.0)
    1001
    """
    return math.ceil(0.5 + math.sqrt(0.25 + pairs * max(rows - 1, 1)))
