"""`crosscoder-batch-topk`: a crosscoder that keeps K latents a row on average."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.shapes.crosscoder import Crosscoder

__all__ = ["CrosscoderBatchTopK"]


class CrosscoderBatchTopK(BatchTopKDictionary, Crosscoder):
    """BatchTopK crosscoder: latents are ranked by ``f_i * sum_s ||W_dec[i, s]||`` (Minder et al. 2025)."""

    def score_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, without a gradient."""
        return self.summed_norm_F()
