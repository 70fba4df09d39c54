"""Gated dictionaries of other libraries, as the JumpReLUs that they are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.plain import PlainSae

__all__ = ["GATED_NOTE", "Gate", "gate_of", "is_gated", "jumprelu_of"]

GATED_NOTE = "of a gated dictionary, as the JumpReLU with the same codes: b_mag - exp(r_mag) b_gate"


class Gate(NamedTuple):
    """The vectors [F] of a gated dictionary."""

    b_gate_F: Tensor
    b_mag_F: Tensor
    r_mag_F: Tensor


def is_gated(facts: DictionaryFacts) -> bool:
    """Return whether a dictionary was trained as a gated one."""
    return facts.dictionary == "gated-sae" and facts.activation.name == "jumprelu"


@torch.no_grad()
def jumprelu_of(folder: ForeignFolder, W_enc_DF: Tensor, gate: Gate) -> dict[str, Tensor]:
    """Return encoder, bias and threshold with the codes of a gated dictionary, computed in float64.

    With ``h = x W_enc``, ``relu(exp(r_mag) h + b_mag)`` where ``h + b_gate > 0`` is ``relu(pre)`` where
    ``pre > b_mag - exp(r_mag) b_gate``: ``exp(r_mag)`` is positive, so the two conditions are one.

    Raises
    ------
    CheckpointError
        If they are beyond float32.
    """
    factor_F = torch.exp(gate.r_mag_F.double())
    W_mag_DF, threshold_F = (W_enc_DF * factor_F).float(), (gate.b_mag_F - factor_F * gate.b_gate_F).float()
    if not bool(torch.isfinite(W_mag_DF).all() and torch.isfinite(threshold_F).all()):
        raise errors.CheckpointError(f"{folder}: exp(r_mag) makes weights beyond float32; these are no usable weights")
    return {"W_enc": W_mag_DF, "b_enc": gate.b_mag_F, "threshold": threshold_F}


def gate_of(sae: PlainSae) -> Gate:
    """Return the gate with the codes of a JumpReLU: the same encoder, ``r_mag`` 0, ``b_gate = b_enc - threshold``."""
    threshold_F = torch.zeros_like(sae.b_enc_F) if sae.threshold_F is None else sae.threshold_F
    gate_F = (sae.b_enc_F.double() - threshold_F.double()).float()
    return Gate(gate_F, sae.b_enc_F, torch.zeros_like(sae.b_enc_F))
