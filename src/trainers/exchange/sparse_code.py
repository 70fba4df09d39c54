"""Codes of rows: dense, or their active latents."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore import errors

__all__ = ["SparseCode", "checked_code"]


class SparseCode(NamedTuple):
    """The active latents of each row, largest first: tensors or NumPy arrays, as the rows were.

    K is that of the dictionary, or the most of any row.
    """

    index_BK: Any
    """Numbers of latents, int64 [B, K]."""
    value_BK: Any
    """Their activations [B, K]; 0 where a row has fewer."""


def checked_code(
    code: Tensor | NDArray[np.floating] | SparseCode, latents: int, *, like: Tensor
) -> Tensor | SparseCode:
    """Return a code as tensors in the number format and on the device of `like`.

    Raises
    ------
    UsageError
        If it has another shape than codes of so many latents.
    """
    if isinstance(code, SparseCode):
        index_BK = torch.as_tensor(code.index_BK).to(device=like.device)
        value_BK = torch.as_tensor(code.value_BK).to(device=like.device, dtype=like.dtype)
        if index_BK.shape != value_BK.shape or index_BK.ndim != 2:
            raise errors.UsageError(f"a sparse code of {list(index_BK.shape)} and {list(value_BK.shape)} numbers")
        if index_BK.numel() and not 0 <= int(index_BK.min()) <= int(index_BK.max()) < latents:
            raise errors.UsageError(f"a sparse code names latents outside of 0 to {latents - 1:,}")
        return SparseCode(index_BK, value_BK)
    code_BF = torch.as_tensor(code).to(device=like.device, dtype=like.dtype)
    if code_BF.ndim != 2 or code_BF.shape[1] != latents:
        raise errors.UsageError(f"a code of shape {list(code_BF.shape)}; this dictionary has [rows, {latents}]")
    return code_BF
