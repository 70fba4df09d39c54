"""`jumprelu-sae`: a sparse autoencoder with a learned threshold for each latent."""

from __future__ import annotations

from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["JumpReluSae"]


class JumpReluSae(JumpReluDictionary, Sae):
    """JumpReLU sparse autoencoder (Rajamanoharan et al. 2024)."""
