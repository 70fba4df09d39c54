"""`crosscoder-jumprelu`: a crosscoder with a learned threshold for each latent."""

from __future__ import annotations

from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.dictionaries.shapes.crosscoder import Crosscoder

__all__ = ["CrosscoderJumpRelu"]


class CrosscoderJumpRelu(JumpReluDictionary, Crosscoder):
    """JumpReLU crosscoder. Its penalty counts latents, so it does not favour few sites, nor small codes."""
