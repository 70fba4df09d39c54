"""Dictionaries with a ReLU and a penalty on the code."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, Weights

__all__ = ["DEFAULT_SPARSITY", "ReluDictionary", "relu_code", "relu_pass"]

DEFAULT_SPARSITY: Final = 0.06
"""L0 37 and explained variance 0.983 on block 3 of the shipped ESM-2, F = 1,024, after 600 steps of 1,024 rows."""


class ReluDictionary(Dictionary):
    """A ReLU makes the code, a penalty makes it sparse. The other base class of such a dictionary sets its shapes."""

    keeps_k = False

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return relu_code(self.weights(), values_BSD)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]; the penalty is ``sum_f f_i price_f``."""
        return relu_pass(self.weights(), values_BSD, price_F=self.price_F())

    def price_F(self) -> Tensor | None:
        """Return the penalty of one unit of each latent; None prices all at 1."""
        return None


def relu_code(weights: Weights, values_BSD: Tensor) -> Tensor:
    """Return ``relu(x W_enc + bias)``, [B, F]."""
    return torch.relu(weights.pre(values_BSD.flatten(1)))


def relu_pass(weights: Weights, values_BSD: Tensor, price_F: Tensor | None) -> DictionaryOutput:
    """Encode, decode and price the code.

    Parameters
    ----------
    price_F
        Penalty of one unit of each latent; None prices all at 1. The penalty is ``sum_f f_i price_f``.
    """
    code_BF = relu_code(weights, values_BSD)
    reconstruction_BX = weights.decode(code_BF)
    use_F = code_BF.to(values_BSD.dtype).mean(dim=0)
    return DictionaryOutput(
        reconstruction_BSD=reconstruction_BX.to(values_BSD.dtype).view_as(values_BSD),
        fired_F=torch.count_nonzero(code_BF.detach(), dim=0),
        penalty=use_F.sum() if price_F is None else use_F @ price_F,
        code_BF=code_BF,
    )
