"""`relu-sae-weighted`: a sparse autoencoder whose L1 penalty is weighted by the norms of its decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY, ReluDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["WeightedReluSae"]


class WeightedReluSae(ReluDictionary, Sae):
    """ReLU sparse autoencoder, penalty ``sum_f f_i ||W_dec[i]||``.

    Conerly et al. 2024, "Update on how we train SAEs". The penalty does not change when a latent is scaled up and its
    decoder down, so the decoder needs no fixed norm. It is a `crosscoder-l2` of one site.
    """

    unit_norm_decoder = False
    default_sparsity = DEFAULT_SPARSITY

    def price_F(self) -> Tensor:
        """Return ``||W_dec[i]||`` of each latent."""
        price_F: Tensor = torch.linalg.vector_norm(self.W_dec, dim=1)
        return price_F
