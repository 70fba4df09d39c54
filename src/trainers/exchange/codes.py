"""Codes as a caller gives them, checked before they are decoded."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.rows import tensor_of

__all__ = ["SparseCode", "own_code"]


class SparseCode(NamedTuple):
    """The active latents of each row, largest first: tensors or NumPy arrays, as the rows were.

    K is that of the dictionary, or the most of any row.
    """

    index_BK: Any
    """Numbers of latents, int64 [B, K]."""
    value_BK: Any
    """Their activations [B, K]; 0 where a row has fewer."""


def own_code(code: object, latents: int, *, like: Tensor) -> Tensor | SparseCode:
    """Return a code as tensors in the number format and on the device of `like`; gradients flow through.

    Raises
    ------
    UsageError
        If it is no code, has another shape, or names latents that there are not.
    NumericsError
        If it holds NaN or Inf.
    """
    if isinstance(code, SparseCode):
        return _sparse(code, latents, like)
    if isinstance(code, tuple):
        raise errors.UsageError(
            f"a tuple of {len(code)} is no code; of the numbers of latents and their activations, [rows, K] each, make "
            "one: trainers.SparseCode(index, value)"
        )
    code_BF = _numbers(code, f"a dense code [rows, {latents}], or a trainers.SparseCode", like)
    if code_BF.ndim != 2 or code_BF.shape[1] != latents:
        raise errors.UsageError(f"a code of shape {list(code_BF.shape)}; this dictionary has [rows, {latents}]")
    return code_BF


def _sparse(code: SparseCode, latents: int, like: Tensor) -> SparseCode:
    index_BK = tensor_of(code.index_BK, what="the latents of a sparse code", wanted="whole numbers [rows, K]")
    if index_BK.dtype == torch.bool or index_BK.is_floating_point() or index_BK.is_complex():
        raise errors.UsageError(
            f"the latents of a sparse code are whole numbers, not {index_BK.dtype}: trainers.SparseCode(index, value)"
        )
    value_BK = _numbers(code.value_BK, "the activations of a sparse code [rows, K]", like)
    if index_BK.shape != value_BK.shape or index_BK.ndim != 2:
        raise errors.UsageError(
            f"a sparse code of latents {list(index_BK.shape)} and activations {list(value_BK.shape)}; both are "
            "[rows, K]"
        )
    if index_BK.numel() and not 0 <= int(index_BK.min()) <= int(index_BK.max()) < latents:
        raise errors.UsageError(f"a sparse code names latents outside of 0 to {latents - 1:,}")
    return SparseCode(index_BK.to(device=like.device, dtype=torch.int64), value_BK)


def _numbers(values: object, wanted: str, like: Tensor) -> Tensor:
    given = tensor_of(values, what="a code", wanted=wanted)
    if given.is_complex():
        raise errors.UsageError(f"codes are real numbers, not {given.dtype}")
    own = given.to(device=like.device, dtype=like.dtype)
    if not bool(torch.isfinite(own).all()):
        raise errors.NumericsError(f"the code holds NaN or Inf, or numbers beyond {like.dtype}")
    return own
