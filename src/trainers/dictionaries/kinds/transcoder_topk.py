"""`transcoder-topk`: a transcoder that keeps the K largest latents of each row."""

from __future__ import annotations

from trainers.dictionaries.codes.topk import TopKDictionary
from trainers.dictionaries.shapes.transcoder import Transcoder

__all__ = ["TranscoderTopK"]


class TranscoderTopK(Transcoder, TopKDictionary):
    """TopK transcoder (Paulo et al. 2025, "Transcoders beat sparse autoencoders for interpretability")."""
