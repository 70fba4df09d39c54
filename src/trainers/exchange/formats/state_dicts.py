"""State dicts of dictionary_learning and of InterPLM, which began as a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign, check_shapes, threshold_of
from trainers.save.tensors import tensor_names

__all__ = ["Architecture", "of_state_dict"]

Architecture = Literal["relu", "relu-no-bias", "topk", "batch-topk", "matryoshka", "jumprelu", "jumprelu-linear"]
"""What a state dict is of.

``relu`` subtracts a bias before encoding, ``relu-no-bias`` (AutoEncoderNew, ReLUSAE_Tied) does not; ``matryoshka`` and
``jumprelu`` have W_enc and W_dec, ``jumprelu-linear`` (InterPLM) has encoder and decoder.
"""
_BATCH: Final = frozenset({"batch-topk", "matryoshka"})
_OWN_NAMES: Final = frozenset({"matryoshka", "jumprelu"})
_SUBTRACTS: Final = frozenset({"relu", "topk", "batch-topk", "matryoshka"})
_BIAS: Final[Mapping[Architecture, str]] = {
    "relu": "bias",
    "relu-no-bias": "decoder.bias",
    "topk": "b_dec",
    "batch-topk": "b_dec",
    "matryoshka": "b_dec",
    "jumprelu": "b_dec",
    "jumprelu-linear": "decoder.bias",
}


def of_state_dict(folder: ForeignFolder, tensors: Mapping[str, Tensor], architecture: Architecture) -> Foreign:
    """Return the dictionary of a state dict.

    Raises
    ------
    CheckpointError
        If it is of another architecture, or a BatchTopK dictionary without a threshold.
    """
    encoder = "W_enc" if architecture in _OWN_NAMES else "encoder.weight"
    if encoder not in tensors or tensors[encoder].ndim != 2:
        raise errors.CheckpointError(f"{folder}: no matrix {encoder}; found {tensor_names(tensors)}")
    check_shapes(folder, tensors, _shapes(tensors, encoder, architecture))
    own = architecture in _OWN_NAMES
    W_enc_DF = tensors[encoder] if own else tensors[encoder].T
    W_dec_FD = tensors["W_dec"] if own else tensors["decoder.weight"].T
    latents = W_enc_DF.shape[1]
    weights = {
        "W_enc": W_enc_DF[None].contiguous(),
        "b_enc": tensors["b_enc" if own else "encoder.bias"],
        "W_dec": W_dec_FD[:, None].contiguous(),
        "b_dec": tensors[_BIAS[architecture]][None],
    }
    notes: dict[str, object] = {}
    k = _kept(folder, tensors, latents) if "k" in tensors else None
    if architecture in _BATCH:
        weights["threshold"] = threshold_of(folder, tensors["threshold"], latents)
        notes["threshold"] = f"of {architecture} with k = {k}, estimated in its training: the tensor `threshold`"
    elif architecture.startswith("jumprelu"):
        weights["threshold"] = tensors["threshold"]
    activation = Activation(name="relu")
    if architecture == "topk":
        activation = Activation(name="topk", k=k)
    elif "threshold" in weights:
        activation = Activation(name="jumprelu")
    return Foreign(weights=weights, activation=activation, subtracts_b_dec=architecture in _SUBTRACTS, notes=notes)


def _shapes(tensors: Mapping[str, Tensor], encoder: str, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the tensors that an architecture has, and their shapes."""
    first, second = tensors[encoder].shape
    if architecture in _OWN_NAMES:
        width, latents = first, second
        shapes = {"W_enc": (width, latents), "b_enc": (latents,), "W_dec": (latents, width)}
    else:
        latents, width = first, second
        shapes = {"encoder.weight": (latents, width), "encoder.bias": (latents,), "decoder.weight": (width, latents)}
    shapes[_BIAS[architecture]] = (width,)
    if architecture in {"topk", *_BATCH}:
        shapes |= {"k": (), "threshold": ()}
    elif architecture.startswith("jumprelu"):
        shapes["threshold"] = (latents,)
    if architecture == "matryoshka":
        groups = tensors.get("group_sizes", torch.zeros(0))
        shapes["group_sizes"] = (groups.numel(),)
    return shapes


def _kept(folder: ForeignFolder, tensors: Mapping[str, Tensor], latents: int) -> int:
    k = float(tensors["k"])
    if not k.is_integer() or not 1 <= k <= latents:
        raise errors.CheckpointError(f"{folder}: k is {k:g}, of {latents:,} latents")
    return int(k)
