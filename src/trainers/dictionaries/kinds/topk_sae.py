"""`topk-sae`: a sparse autoencoder that keeps the K largest latents of each row."""

from __future__ import annotations

from trainers.dictionaries.codes.topk import TopKDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["TopKSae"]


class TopKSae(TopKDictionary, Sae):
    """TopK sparse autoencoder (Gao et al. 2024, "Scaling and evaluating sparse autoencoders")."""
