"""`crosscoder-l2`: a crosscoder with the L2-of-norms penalty."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY, ReluDictionary
from trainers.dictionaries.shapes.crosscoder import SHARED_SPARSITY, Crosscoder

__all__ = ["CrosscoderL2"]


class CrosscoderL2(ReluDictionary, Crosscoder):
    """Penalty ``sum_f f_i * sqrt(sum_s ||W_dec[i, s]||^2)`` (the alternative discussed in Lindsey et al. 2024).

    The penalty of a latent is the norm of its whole decoder, for any spread over sites. So nothing favours few sites,
    and the loss is directly comparable to the loss of an SAE of the concatenated sites.
    """

    default_sparsity = DEFAULT_SPARSITY
    options: ClassVar = MappingProxyType({"shared_sparsity": SHARED_SPARSITY})

    def price_F(self) -> Tensor:
        """Return ``sqrt(sum_s ||W_dec[i, s]||^2)`` of each latent, reduced for shared ones."""
        return self.price_with_discount_F(torch.linalg.vector_norm(self.flat().decoder_FX, dim=1))
