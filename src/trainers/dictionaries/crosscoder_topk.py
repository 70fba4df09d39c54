"""`crosscoder-topk`: a crosscoder that keeps the K latents that weigh most in each row."""

from __future__ import annotations

from torch import Tensor

from trainers.dictionaries.crosscoder import Crosscoder
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.topk import topk_code, topk_pass

__all__ = ["CrosscoderTopK"]


class CrosscoderTopK(Crosscoder):
    """TopK crosscoder: latents are ranked by ``f_i * sum_s ||W_dec[i, s]||``.

    The ranking is that of Minder et al. 2025 ("Overcoming Sparsity Artifacts in Crosscoders to Interpret Chat-Tuning"),
    per row instead of per batch. It does not change when a latent is scaled up and its decoder down, so decoders need
    no fixed norm and may differ between sites.
    """

    keeps_k = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if shape.kept is None:
            raise ValueError("a TopK dictionary needs Shape.kept")
        self.kept = shape.kept

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]: relu(pre) of the K latents that rank highest."""
        return topk_code(self.flat(), values_BSD, kept=self.kept, score_F=self._score_F())

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        return topk_pass(self.flat(), values_BSD, kept=self.kept, score_F=self._score_F())

    def _score_F(self) -> Tensor:
        return self.decoder_norm_FS().detach().sum(dim=1)
