"""`crosscoder-l1`: a crosscoder with the L1-of-norms penalty."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY, ReluDictionary
from trainers.dictionaries.shapes.crosscoder import SHARED_SPARSITY, Crosscoder

__all__ = ["CrosscoderL1"]


class CrosscoderL1(ReluDictionary, Crosscoder):
    """Penalty ``sum_f f_i * sum_s ||W_dec[i, s]||`` (Lindsey et al. 2024).

    A latent pays for each site, so latents tend to leave sites that they do not need.
    """

    default_sparsity = DEFAULT_SPARSITY
    options: ClassVar = MappingProxyType({"shared_sparsity": SHARED_SPARSITY})

    @classmethod
    def penalty_growth(cls, sites: int) -> float:
        """Return ``sqrt(S)``: a decoder of norm 1 over S like sites has norm ``1 / sqrt(S)`` at each of them."""
        return math.sqrt(sites)

    def price_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, reduced for shared ones."""
        return self.price_with_discount_F(self.decoder_norm_FS().sum(dim=1))
