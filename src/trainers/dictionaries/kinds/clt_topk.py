"""`clt-topk`: a cross-layer transcoder that keeps the highest-ranked latents of each row over all layers."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.codes.topk import TopKDictionary
from trainers.dictionaries.shapes.cross_layer import CrossLayer

__all__ = ["CltTopK"]


class CltTopK(CrossLayer, TopKDictionary):
    """TopK cross-layer transcoder: latents of all layers are ranked together, by ``f_i ||W_dec[i]||``.

    The norm is that of the whole decoder, over all layers that the latent writes to: the quantity that the penalty of
    Ameisen et al. 2025 is about, where too a layer may use more latents than another. It does not change when a latent
    is scaled up and its decoder down.
    """

    def score_F(self) -> Tensor:
        """Return ``||W_dec[i]||`` of each latent, without a gradient."""
        return self.whole_norm_F().detach()
