"""Shapes of a sparse autoencoder of one site."""

from __future__ import annotations

import torch
from torch import nn

from trainers.dictionaries.dictionary import Dictionary, FlatWeights, Shape

__all__ = ["Sae"]


class Sae(Dictionary):
    """``code = act((x - b_dec) W_enc + b_enc)``, ``x^ = code W_dec + b_dec``.

    W_enc [D, F], b_enc [F], W_dec [F, D], b_dec [D]; decoder rows have norm 1 (Bricken et al. 2023, Gao et al. 2024).
    """

    one_site = True
    subtracts_b_dec = True
    unit_norm_decoder = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if shape.sites != 1:
            raise ValueError(f"a sparse autoencoder reads one site, not {shape.sites}")
        self.W_enc = nn.Parameter(torch.zeros(shape.latents, shape.width).t())  # see `Dictionary.W_enc`
        self.b_enc = nn.Parameter(torch.zeros(shape.latents))
        self.W_dec = nn.Parameter(torch.zeros(shape.latents, shape.width))
        self.b_dec = nn.Parameter(torch.zeros(shape.width))

    def flat(self) -> FlatWeights:
        """Return the weights as matrices; see `Dictionary.flat`."""
        return FlatWeights(
            encoder_XF=self.W_enc,
            encoder_bias_F=self.b_enc,
            decoder_FX=self.W_dec,
            decoder_bias_X=self.b_dec,
            pre_bias_X=self.b_dec,
        )
