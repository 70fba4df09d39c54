"""`p-annealing-sae`: a sparse autoencoder whose penalty goes from L1 towards the number of active latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import ClassVar, Final

import torch
from torch import Tensor

from trainers.dictionaries.codes.relu import relu_code
from trainers.dictionaries.dictionary import DictionaryOutput, Shape
from trainers.dictionaries.ranks import all_sum
from trainers.dictionaries.shapes.sae import Sae

__all__ = ["PAnnealingSae", "annealed_p", "power_sum"]

_SPARSITY: Final = 0.03
"""L0 16 and explained variance 0.986 on block 3 of the shipped ESM-2, F = 1,024, after 600 steps of 1,024 rows."""
P_START: Final = 1.0
SMALL: Final = 0.01
"""Activations below this share of the mean active one pay about as in L1: at 0, the price of a power is infinite."""


class PAnnealingSae(Sae):
    """ReLU sparse autoencoder with the penalty ``lambda sum_f f_i^p``, where p falls.

    Karvonen et al. 2024, "Measuring Progress in Dictionary Learning for Language Model Interpretability with Board Game
    Models". p falls linearly from 1 to `p_end`, from a share `p_anneal_from` of the rows to the end of the run: it
    follows from the rows trained on alone. lambda is 1 at first. Whenever p changes, it is multiplied by the ratio of
    the penalties with the p before and the new one, on the batch of that step (of all ranks), so that the penalty does
    not jump. Decoder rows have norm 1.

    Parameters
    ----------
    p_end
        Power at the end, above 0.
    p_anneal_from
        Share of the rows after which p falls.
    """

    keeps_k = False
    needs_whole_batch = True
    default_sparsity = _SPARSITY
    options: ClassVar = MappingProxyType({"p_end": 0.2, "p_anneal_from": 0.1})
    balance: Tensor
    """p and lambda of the last step, float32 [2]."""

    def __init__(self, shape: Shape, *, p_end: float = 0.2, p_anneal_from: float = 0.1) -> None:
        super().__init__(shape)
        self.p_end, self.p_anneal_from = p_end, p_anneal_from
        self.p = P_START
        """The power of this step."""
        self.register_buffer("balance", torch.tensor([P_START, 1.0]))
        self._balance_of_step: Tensor | None = None

    def before_step(self, share: float) -> None:
        """Set the power of the step."""
        super().before_step(share)
        self.p = annealed_p(share, end=self.p_end, start=self.p_anneal_from)

    def after_step(self) -> None:
        """Remember p and lambda of the step."""
        super().after_step()
        if self._balance_of_step is not None:
            self.balance.copy_(self._balance_of_step)

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        return relu_code(self.flat(), values_BSD)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        code_BF = self.encode(values_BSD)
        return DictionaryOutput(
            reconstruction_BSD=self.decode(code_BF).to(values_BSD.dtype),
            fired_F=torch.count_nonzero(code_BF.detach(), dim=0),
            penalty=self._penalty(code_BF.to(values_BSD.dtype)),
            code_BF=code_BF if self.keep_code else None,
        )

    def _penalty(self, code_BF: Tensor) -> Tensor:
        summed = all_sum if self.training else _alone
        power, factor = power_sum(code_BF, self.p, summed=summed), self.balance[1]
        before = float(self.balance[0])
        if not math.isclose(before, self.p, rel_tol=1e-6):
            least = torch.finfo(code_BF.dtype).tiny
            power_before = summed(power_sum(code_BF.detach(), before, summed=summed))
            factor = factor * power_before / summed(power.detach()).clamp_min(least)
        if self.training:
            self._balance_of_step = torch.stack([torch.full_like(factor, self.p), factor])
        return factor * power / len(code_BF)


def annealed_p(share: float, *, end: float, start: float) -> float:
    """Return the power after a share of the rows: 1 up to `start`, then a line to `end` at the end of the run.

    Examples
    --------
    >>> [round(annealed_p(share, end=0.2, start=0.5), 3) for share in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.6, 0.2]
    """
    if share <= start:
        return P_START
    return P_START + (end - P_START) * min(1.0, (share - start) / (1.0 - start))


def _alone(values: Tensor) -> Tensor:
    return values


def power_sum(code_BF: Tensor, p: float, *, summed: Callable[[Tensor], Tensor] = _alone) -> Tensor:
    """Return ``sum (f + e)^p - e^p`` over rows and latents; e is `SMALL` of the mean active activation of the batch.

    For activations far above e it is ``sum f^p``. The gradient of e is left out.

    Parameters
    ----------
    summed
        From sums over these rows to those over the batch, for the mean.
    """
    if p == P_START:
        return code_BF.sum()
    active = summed(torch.count_nonzero(code_BF.detach())).clamp_min(1)
    small = (SMALL * summed(code_BF.detach().sum()) / active).clamp_min(torch.finfo(code_BF.dtype).tiny)
    return ((code_BF + small).pow(p) - small.pow(p)).sum()
