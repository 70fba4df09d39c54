"""`topk-sae`: a sparse autoencoder that keeps the K largest latents of each row."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.sae import Sae
from trainers.dictionaries.topk import topk_code, topk_pass

__all__ = ["TopKSae"]


class TopKSae(Sae):
    """TopK sparse autoencoder (Gao et al. 2024, "Scaling and evaluating sparse autoencoders")."""

    keeps_k = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if shape.kept is None:
            raise ValueError("a TopK dictionary needs Shape.kept")
        self.kept = shape.kept

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]: the K largest of relu(pre)."""
        return topk_code(self.flat(), values_BSD, kept=self.kept)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, 1, D]."""
        return topk_pass(self.flat(), values_BSD, kept=self.kept)
