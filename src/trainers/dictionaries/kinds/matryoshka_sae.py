"""`matryoshka-sae`: a BatchTopK sparse autoencoder with nested prefixes."""

from __future__ import annotations

from trainers.dictionaries.codes.matryoshka import MatryoshkaDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["MatryoshkaSae"]


class MatryoshkaSae(MatryoshkaDictionary, Sae):
    """Matryoshka BatchTopK sparse autoencoder (Bussmann et al. 2025)."""
