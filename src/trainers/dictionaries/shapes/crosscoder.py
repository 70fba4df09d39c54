"""Shapes of a crosscoder over any set of sites."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import Dictionary, FlatWeights, Shape

__all__ = ["Crosscoder"]


class Crosscoder(Dictionary):
    """``code = act(sum_s x_s W_enc[s] + b_enc)``, ``x^_s = code W_dec[:, s] + b_dec[s]``.

    W_enc [S, D, F], b_enc [F], W_dec [F, S, D], b_dec [S, D]; nothing is subtracted before encoding
    (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features and Model Diffing").
    """

    one_site = False
    unit_norm_decoder = False

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        sites, width, latents = shape.sites, shape.width, shape.latents
        self.W_enc = nn.Parameter(torch.zeros(latents, sites, width).permute(1, 2, 0))  # see `Dictionary.W_enc`
        self.b_enc = nn.Parameter(torch.zeros(latents))
        self.W_dec = nn.Parameter(torch.zeros(latents, sites, width))
        self.b_dec = nn.Parameter(torch.zeros(sites, width))

    def flat(self) -> FlatWeights:
        """Return the weights as matrices; see `Dictionary.flat`."""
        return FlatWeights(
            encoder_XF=self.W_enc.flatten(0, 1),
            encoder_bias_F=self.b_enc,
            decoder_FX=self.W_dec.flatten(1, 2),
            decoder_bias_X=self.b_dec.flatten(),
        )

    def summed_norm_F(self) -> Tensor:
        """Return ``sum_s ||W_dec[i, s]||`` of each latent, without a gradient: how much one unit of it writes."""
        return self.decoder_norm_FS().detach().sum(dim=1)
