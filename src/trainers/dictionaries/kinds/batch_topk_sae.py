"""`batch-topk-sae`: a sparse autoencoder that keeps K latents a row on average."""

from __future__ import annotations

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["BatchTopKSae"]


class BatchTopKSae(BatchTopKDictionary, Sae):
    """BatchTopK sparse autoencoder (Bussmann et al. 2024)."""
