"""`relu-sae`: a sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY, ReluDictionary
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["ReluSae"]


class ReluSae(ReluDictionary, Sae):
    """ReLU sparse autoencoder, penalty ``sum_f f_i`` (Bricken et al. 2023, "Towards Monosemanticity").

    Decoder rows are held at norm 1; otherwise small codes with long decoders would avoid the penalty.
    """

    default_sparsity = DEFAULT_SPARSITY
