"""`crosscoder-l1`: a crosscoder with the L1-of-norms penalty."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.crosscoder import Crosscoder
from trainers.dictionaries.dictionary import DictionaryOutput
from trainers.dictionaries.relu import relu_code, relu_pass

__all__ = ["CrosscoderL1"]


class CrosscoderL1(Crosscoder):
    """Penalty ``sum_f f_i * sum_s ||W_dec[i, s]||`` (Lindsey et al. 2024).

    A latent pays for each site, so latents tend to leave sites that they do not need.
    """

    keeps_k = False

    @classmethod
    def default_sparsity(cls, sites: int) -> float:  # noqa: ARG003 - the same for any number
        """Return 0.05: error and penalty both grow with the number of sites."""
        return 0.05

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return relu_code(self.flat(), values_BSD)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        return relu_pass(self.flat(), values_BSD, price_F=self.decoder_norm_FS().sum(dim=1))
