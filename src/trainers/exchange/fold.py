"""The weights of training to weights for raw rows."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.dictionaries.codes.topk import TopKDictionary
from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.kinds.gated_sae import GatedSae
from trainers.exchange.facts import Activation

__all__ = ["activation_of", "folded_weights"]


@torch.no_grad()
def folded_weights(dictionary: Dictionary, scale_S: Tensor) -> dict[str, Tensor]:
    """Return float32 weights that give raw rows the codes which the dictionary gives rows times `scale_S`.

    With ``x' = s x`` for each site: ``W_enc[s] * s``, ``W_dec[:, s] / s``, ``b_dec[s] / s``; b_enc stays, and so does
    the ranking of the latents, which depends on the decoder in the units of training. A gated dictionary becomes a
    JumpReLU, see `GatedSae`. Computed in float64.
    """
    factor_S11 = scale_S.double().cpu().reshape(-1, 1, 1)
    sites, width, latents = dictionary.shape[:3]
    weights = {
        "W_enc": dictionary.W_enc.double().cpu().reshape(sites, width, latents) * factor_S11,
        "b_enc": dictionary.b_enc.double().cpu(),
        "W_dec": dictionary.W_dec.double().cpu().reshape(latents, sites, width) / factor_S11[:, 0],
        "b_dec": dictionary.b_dec.double().cpu().reshape(sites, width) / factor_S11[:, 0],
    }
    if isinstance(dictionary, GatedSae):
        factor_F, gate_F = torch.exp(dictionary.r_mag.double().cpu()), weights["b_enc"]
        weights["W_enc"], weights["b_enc"] = weights["W_enc"] * factor_F, dictionary.b_mag.double().cpu()
        weights["threshold"] = weights["b_enc"] - factor_F * gate_F
    rank_F = dictionary.score_F() if isinstance(dictionary, TopKDictionary) else None
    if rank_F is not None:
        weights["rank"] = rank_F.cpu()
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def activation_of(dictionary: Dictionary) -> Activation:
    """Return how the dictionary makes its code."""
    if isinstance(dictionary, GatedSae):
        return Activation(name="jumprelu")
    return Activation(name="topk", k=dictionary.shape.kept) if dictionary.keeps_k else Activation(name="relu")
