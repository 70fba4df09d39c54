"""Whether a model in memory is the one whose activations a dictionary reads."""

from __future__ import annotations

import re

import torch
from torch import nn

import actstore
from actstore import errors
from trainers.exchange.facts import DictionaryFacts

__all__ = ["check_weights"]


def check_weights(facts: DictionaryFacts, network: nn.Module) -> None:
    """Refuse a network whose weights are not those that the rows of the dictionary came from.

    Raises
    ------
    ModelError
        If they have another digest, or there is none to compare it with.
    """
    model = facts.model
    wanted = None if model is None else model.weights_sha256
    if model is None or wanted is None or not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise errors.ModelError(
            f"the dictionary does not have the digest of the weights of {'its model' if model is None else model.name},"
            " so it is not known whether it reads the activations of this model; if you know that it does: "
            "allow_other_model=True"
        )
    found = actstore.weights_sha256(network, dtype=model.dtype)
    if found == wanted:
        return
    dtype = _dtype(network)
    reload = (
        f"; it is in {dtype}, which loses bits of {model.dtype}, so load it with dtype=torch.{model.dtype}"
        if _loses(dtype, model.dtype)
        else "; load that model"
    )
    raise errors.ModelError(
        f"the weights of this {type(network).__name__} have the digest {found}, and the rows of the dictionary came "
        f"from {model.name} with {wanted}{reload}, or accept another one with allow_other_model=True"
    )


def _dtype(network: nn.Module) -> str | None:
    """Return the number format of a network, from its first floating-point parameter."""
    found = next((each.dtype for each in network.parameters() if each.is_floating_point()), None)
    return None if found is None else str(found).removeprefix("torch.")


def _loses(dtype: str | None, wanted: str | None) -> bool:
    """Return whether `dtype` cannot hold all numbers of `wanted`."""
    if dtype is None or wanted is None:
        return False
    both: torch.dtype = torch.promote_types(getattr(torch, dtype), getattr(torch, wanted))
    return str(both) != f"torch.{dtype}"
