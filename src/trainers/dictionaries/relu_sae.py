"""`relu-sae`: a sparse autoencoder with an L1 penalty."""

from __future__ import annotations

from trainers.dictionaries.relu import ReluDictionary
from trainers.dictionaries.sae import Sae

__all__ = ["ReluSae"]


class ReluSae(ReluDictionary, Sae):
    """ReLU sparse autoencoder, penalty ``sum_f f_i`` (Bricken et al. 2023, "Towards Monosemanticity").

    Decoder rows are held at norm 1; otherwise small codes with long decoders would avoid the penalty.
    """

    @classmethod
    def default_sparsity(cls, sites: int) -> float:  # noqa: ARG003 - the same for any number
        """Return 0.05: L0 35 and explained variance 0.973 on block 3 of the shipped ESM-2, F = 1,024."""
        return 0.05
