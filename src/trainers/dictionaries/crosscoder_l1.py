"""`crosscoder-l1`: a crosscoder with the L1-of-norms penalty."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.crosscoder import Crosscoder
from trainers.dictionaries.relu import ReluDictionary

__all__ = ["CrosscoderL1"]


class CrosscoderL1(ReluDictionary, Crosscoder):
    """Penalty ``sum_f f_i * sum_s ||W_dec[i, s]||`` (Lindsey et al. 2024).

    A latent pays for each site, so latents tend to leave sites that they do not need.
    """

    @classmethod
    def default_sparsity(cls, sites: int) -> float:  # noqa: ARG003 - the same for any number
        """Return 0.05: error and penalty both grow with the number of sites."""
        return 0.05

    def price_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent."""
        return self.decoder_norm_FS().sum(dim=1)
