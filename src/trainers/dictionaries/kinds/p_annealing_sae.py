"""`p-annealing-sae`: a sparse autoencoder whose penalty goes from L1 towards the number of active latents."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar, Final

import torch
from torch import Tensor

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY, relu_code
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["PAnnealingSae", "annealed_p", "balanced_penalty"]

P_START: Final = 1.0


class PAnnealingSae(Sae):
    """ReLU sparse autoencoder with the penalty ``lambda_p sum_f f_i^p``, where p falls.

    Karvonen et al. 2024, "Measuring Progress in Dictionary Learning for Language Model Interpretability with Board Game
    Models". p falls linearly from 1 to `p_end`, from a share `p_anneal_from` of the rows to the end of the run: it
    follows from the rows trained on alone. Decoder rows have norm 1.

    Parameters
    ----------
    p_end
        Power at the end, above 0.
    p_anneal_from
        Share of the rows after which p falls.
    """

    keeps_k = False
    default_sparsity = DEFAULT_SPARSITY
    options: ClassVar = MappingProxyType({"p_end": 0.2, "p_anneal_from": 0.1})

    def __init__(self, shape: Shape, *, p_end: float = 0.2, p_anneal_from: float = 0.1) -> None:
        super().__init__(shape)
        self.p_end, self.p_anneal_from = p_end, p_anneal_from
        self.p = P_START
        """The power of this step."""

    def before_step(self, share: float) -> None:
        """Set the power of the step."""
        self.p = annealed_p(share, end=self.p_end, start=self.p_anneal_from)

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return relu_code(self.flat(), values_BSD)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        code_BF = self.encode(values_BSD)
        return DictionaryOutput(
            reconstruction_BSD=self.decode(code_BF).to(values_BSD.dtype),
            fired_F=torch.count_nonzero(code_BF.detach(), dim=0),
            penalty=balanced_penalty(code_BF.to(values_BSD.dtype), self.p),
            code_BF=code_BF if self.keep_code else None,
        )


def annealed_p(share: float, *, end: float, start: float) -> float:
    """Return the power after a share of the rows: 1 up to `start`, then a line to `end` at the end of the run.

    Examples
    --------
    >>> [annealed_p(share, end=0.2, start=0.5) for share in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.6, 0.2]
    """
    if share <= start:
        return P_START
    return P_START + (end - P_START) * min(1.0, (share - start) / (1.0 - start))


def balanced_penalty(code_BF: Tensor, p: float) -> Tensor:
    """Return ``lambda_p sum_f f_i^p``, mean over the batch, with lambda_p such that its value is the L1 norm.

    ``lambda_p = sum f / sum f^p`` over the batch, without a gradient. So the coefficient of the penalty means the same
    for every p, at any scale of the rows.
    """
    l1 = code_BF.sum()
    if p == P_START:
        return l1 / len(code_BF)
    power = torch.where(code_BF > 0, code_BF, 1.0).pow(p).where(code_BF > 0, 0.0).sum()
    factor = l1.detach() / power.detach().clamp_min(torch.finfo(code_BF.dtype).tiny)
    return factor * power / len(code_BF)
