"""The weights of a trained dictionary: their names, shapes, and the arithmetic of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from trainers.dictionaries.dictionary import FlatWeights, Weights
from trainers.dictionaries.shapes.cross_layer import LayeredWeights
from trainers.exchange.facts import DictionaryFacts

__all__ = ["OPTIONAL_WEIGHTS", "arithmetic", "decoder_of", "hold_weights", "optional_shapes", "weight_shapes"]

OPTIONAL_WEIGHTS: Final = ("rank", "threshold", "latent_scale", "W_skip")


def weight_shapes(facts: DictionaryFacts) -> dict[str, tuple[int, ...]]:
    """Return the weights that a dictionary has, and the shape of each."""
    read, written, width, latents = len(facts.read), len(facts.written), facts.width, facts.latents
    if facts.layered:
        each = latents // read
        return {
            "W_enc": (read, width, each),
            "b_enc": (read, each),
            **{f"W_dec.{layer}": (each, read - layer, width) for layer in range(read)},
            "b_dec": (read, width),
        }
    return {
        "W_enc": (read, width, latents),
        "b_enc": (latents,),
        "W_dec": (latents, written, width),
        "b_dec": (written, width),
    }


def optional_shapes(facts: DictionaryFacts) -> dict[str, tuple[int, ...]]:
    """Return the weights that a dictionary may have besides, and the shape of each."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(OPTIONAL_WEIGHTS, (facts.latents,))
    del shapes["W_skip"]
    if facts.layered or len(facts.read) != 1 or len(facts.written) != 1:
        return shapes
    return shapes | {"W_skip": (facts.width, facts.width)}


def hold_weights(module: nn.Module, facts: DictionaryFacts, weights: Mapping[str, Tensor]) -> None:
    """Register weights as buffers of a module, under their names; None for optional ones that are not there."""
    for name in (*weight_shapes(facts), *OPTIONAL_WEIGHTS):
        parent, _, own = name.rpartition(".")
        if parent and not hasattr(module, parent):
            module.add_module(parent, nn.Module())
        (module.get_submodule(parent) if parent else module).register_buffer(own, weights.get(name))


def arithmetic(facts: DictionaryFacts, weights: Mapping[str, Tensor]) -> Weights:
    """Return pre-activations and decoding as functions of these weights; b_dec is subtracted by the caller."""
    if facts.layered:
        b_dec = weights["b_dec"]
        return LayeredWeights(
            tuple(
                FlatWeights(encoder, bias, weights[f"W_dec.{layer}"].flatten(1), b_dec[layer:].flatten())
                for layer, (encoder, bias) in enumerate(zip(weights["W_enc"], weights["b_enc"], strict=True))
            ),
            b_dec.flatten(),
        )
    return FlatWeights(
        weights["W_enc"].flatten(0, 1), weights["b_enc"], weights["W_dec"].flatten(1), weights["b_dec"].flatten()
    )


def decoder_of(facts: DictionaryFacts, weights: Mapping[str, Tensor]) -> Tensor:
    """Return the decoder [F, W, D], with zeros where a latent does not write."""
    if not facts.layered:
        return weights["W_dec"]
    decoders = (weights[f"W_dec.{layer}"] for layer in range(len(facts.read)))
    return torch.cat([nn.functional.pad(one, (0, 0, layer, 0)) for layer, one in enumerate(decoders)])
