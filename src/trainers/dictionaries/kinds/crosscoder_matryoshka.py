"""`crosscoder-matryoshka`: a BatchTopK crosscoder with nested prefixes."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.codes.matryoshka import MatryoshkaDictionary
from trainers.dictionaries.shapes.crosscoder import Crosscoder

__all__ = ["CrosscoderMatryoshka"]


class CrosscoderMatryoshka(MatryoshkaDictionary, Crosscoder):
    """Matryoshka BatchTopK crosscoder: latents are ranked by ``f_i * sum_s ||W_dec[i, s]||``."""

    def score_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, without a gradient."""
        return self.summed_norm_F()
