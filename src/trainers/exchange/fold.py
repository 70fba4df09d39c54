"""The weights of training to weights for raw rows."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.dictionaries.codes.batch_topk import BatchTopKDictionary
from trainers.dictionaries.codes.matryoshka import MatryoshkaDictionary
from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.kinds.gated_sae import GatedSae
from trainers.exchange.facts import Activation, BatchTopK

__all__ = ["activation_of", "batch_topk_of", "folded_weights"]


@torch.no_grad()
def folded_weights(dictionary: Dictionary, scale_S: Tensor) -> dict[str, Tensor]:
    """Return float32 weights that give raw rows the codes which the dictionary gives rows times `scale_S`.

    With ``x' = s x`` for each site that is read, and ``t`` for each that is written: ``W_enc[s] * s``,
    ``W_dec[:, t] / t``, ``b_dec[t] / t``, ``W_skip * s / t``; b_enc stays, except that a mean which a transcoder
    subtracts is in it: ``(x - p) E + b = x E + (b - p E)``, and in b_dec for a skip. Thresholds stay, and so
    does the ranking of the latents, which depends on the decoder in the units of training. A gated dictionary becomes
    a JumpReLU, see `GatedSae`. Computed in float64.
    """
    shape, scale_S = dictionary.shape, scale_S.double().cpu()
    read_R11, written_W1 = scale_S[list(shape.read)].reshape(-1, 1, 1), scale_S[list(shape.written)].reshape(-1, 1)
    own = {name: tensor.double().cpu() for name, tensor in dictionary.state_dict().items()}
    layers = len(shape.read) if dictionary.each_site_has_latents else 1
    W_enc = own["W_enc"].reshape(len(shape.read), shape.width, shape.latents // layers)
    b_enc, b_dec = own["b_enc"], own["b_dec"].reshape(len(shape.written), shape.width)
    if "b_pre" in own:
        shift_RF = torch.einsum("rd,rdf->rf", own["b_pre"].reshape(len(shape.read), shape.width), W_enc)
        b_enc = b_enc - shift_RF.reshape(b_enc.shape)
    weights = {"W_enc": W_enc * read_R11, "b_enc": b_enc}
    if dictionary.each_site_has_latents:
        weights |= {f"W_dec.{layer}": own[f"W_dec.{layer}"] / written_W1[layer:] for layer in range(layers)}
    else:
        weights["W_dec"] = own["W_dec"].reshape(shape.latents, len(shape.written), shape.width) / written_W1
    if "W_skip" in own:
        b_dec = b_dec - own["b_pre"] @ own["W_skip"]
        weights["W_skip"] = own["W_skip"] * read_R11[0] / written_W1
    weights["b_dec"] = b_dec / written_W1
    if isinstance(dictionary, GatedSae):
        factor_F, gate_F = torch.exp(own["r_mag"]), weights["b_enc"]
        weights["W_enc"], weights["b_enc"] = weights["W_enc"] * factor_F, own["b_mag"]
        weights["threshold"] = weights["b_enc"] - factor_F * gate_F
    rank_F = dictionary.score_F() if activation_of(dictionary).name != "relu" else None
    for name, tensor in (("rank", rank_F), ("threshold", dictionary.threshold_F())):
        if tensor is not None:
            weights[name] = tensor.cpu()
    return {name: tensor.float().contiguous() for name, tensor in weights.items()}


def activation_of(dictionary: Dictionary) -> Activation:
    """Return how the dictionary makes its code in evaluation mode."""
    if isinstance(dictionary, GatedSae) or dictionary.threshold_F() is not None:
        return Activation(name="jumprelu")
    return Activation(name="topk", k=dictionary.shape.kept) if dictionary.keeps_k else Activation(name="relu")


def batch_topk_of(dictionary: Dictionary) -> BatchTopK | None:
    """Return how many latents a batch kept in training, and in which groups; None for other dictionaries."""
    if not isinstance(dictionary, BatchTopKDictionary):
        return None
    groups = dictionary.group_sizes if isinstance(dictionary, MatryoshkaDictionary) else None
    return BatchTopK(k=dictionary.kept, groups=groups or ())
