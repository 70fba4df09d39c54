"""`clt-batch-topk`: a cross-layer transcoder that keeps K latents of each layer, on average over rows and layers."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.shapes.cross_layer import CrossLayer

__all__ = ["CltBatchTopK"]


class CltBatchTopK(CrossLayer, BatchTopKDictionary):
    """BatchTopK cross-layer transcoder: latents of all rows and layers are ranked together, by ``f_i ||W_dec[i]||``."""

    def score_F(self) -> Tensor:
        """Return ``||W_dec[i]||`` of each latent, without a gradient."""
        return self.whole_norm_F().detach()
