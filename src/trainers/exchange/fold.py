"""The weights of training to weights for raw rows."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.codes.matryoshka import MatryoshkaDictionary
from trainers.dictionaries.dictionary import Dictionary
from trainers.exchange.facts import Activation, BatchTopK

__all__ = ["activation_of", "batch_topk_of", "folded_weights"]


@torch.no_grad()
def folded_weights(dictionary: Dictionary, scale_S: Tensor) -> dict[str, Tensor]:
    """Return float32 weights that give raw rows the codes which the dictionary gives rows times `scale_S`.

    With ``x' = s x`` for each site: ``W_enc[s] * s``, ``W_dec[:, s] / s``, ``b_dec[s] / s``; b_enc and
    thresholds stay, and so does the ranking of the latents, which depends on the decoder in the units of training.
    Computed in float64.
    """
    factor_S11 = scale_S.double().cpu().reshape(-1, 1, 1)
    sites, width, latents = dictionary.shape[:3]
    weights = {
        "W_enc": dictionary.W_enc.double().cpu().reshape(sites, width, latents) * factor_S11,
        "b_enc": dictionary.b_enc.double().cpu(),
        "W_dec": dictionary.W_dec.double().cpu().reshape(latents, sites, width) / factor_S11[:, 0],
        "b_dec": dictionary.b_dec.double().cpu().reshape(sites, width) / factor_S11[:, 0],
    }
    rank_F = dictionary.score_F() if activation_of(dictionary).name != "relu" else None
    for name, tensor in (("rank", rank_F), ("threshold", dictionary.threshold_F())):
        if tensor is not None:
            weights[name] = tensor.cpu()
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def activation_of(dictionary: Dictionary) -> Activation:
    """Return how the dictionary makes its code in evaluation mode."""
    if dictionary.threshold_F() is not None:
        return Activation(name="jumprelu")
    return Activation(name="topk", k=dictionary.shape.kept) if dictionary.keeps_k else Activation(name="relu")


def batch_topk_of(dictionary: Dictionary) -> BatchTopK | None:
    """Return how many latents a batch kept in training, and in which groups; None for other dictionaries."""
    if not isinstance(dictionary, BatchTopKDictionary):
        return None
    groups = dictionary.group_sizes if isinstance(dictionary, MatryoshkaDictionary) else None
    return BatchTopK(k=dictionary.kept, groups=groups or ())
