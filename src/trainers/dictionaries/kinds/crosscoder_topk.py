"""`crosscoder-topk`: a crosscoder that keeps the K highest-ranked latents of each row."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.codes.topk import TopKDictionary
from trainers.dictionaries.shapes.crosscoder import Crosscoder

__all__ = ["CrosscoderTopK"]


class CrosscoderTopK(TopKDictionary, Crosscoder):
    """TopK crosscoder: latents are ranked by ``f_i * sum_s ||W_dec[i, s]||``.

    The ranking is that of Minder et al. 2025 ("Overcoming Sparsity Artifacts in Crosscoders to Interpret Chat-Tuning"),
    per row instead of per batch. It does not change when a latent is scaled up and its decoder down, so decoders need
    no fixed norm and may differ between sites.
    """

    def score_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, without a gradient."""
        return self.summed_norm_F()
