"""What training makes small: unexplained share, sparsity penalty and AuxK loss, none of which depends on scale.

::

    loss = error / V + sparsity * penalty / (g * sqrt(V)) + auxk_weight * AuxK

`error` is the squared error summed over sites and features, mean over the batch; V is the variance of the rows of the
store, also summed over sites and features. The penalty grows with the norm of the rows and, for some dictionaries, with
the number of sites (g, `Dictionary.penalty_growth`). AuxK is itself a share. So each term keeps its weight whatever the
scale of the rows, the normalisation, or the number of sites.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import DictionaryOutput
from trainers.dictionaries.topk import TopKDictionary
from trainers.fit.auxk import auxk_loss
from trainers.fit.plan import TrainPlan
from trainers.fit.reconstruction import squared_error_S
from trainers.fit.schedule import sparsity_factor
from trainers.fit.state import TrainState

__all__ = ["Objective", "objective"]


class Objective(NamedTuple):
    """The terms of the loss on a batch."""

    reconstruction: Tensor
    """Squared error over the variance of the store's rows."""
    sparsity: Tensor
    """Penalty times its coefficient; 0 for TopK dictionaries."""
    auxk: Tensor
    """AuxK loss times its weight; 0 without dead latents."""
    error_S: Tensor
    """Squared error of each site, summed over the batch."""

    @property
    def loss(self) -> Tensor:
        """The sum of the terms."""
        return self.reconstruction + self.sparsity + self.auxk


def objective(
    state: TrainState, scaled_BSD: Tensor, output: DictionaryOutput, dead_F: Tensor, plan: TrainPlan
) -> Objective:
    """Return the objective of a batch of scaled rows.

    Parameters
    ----------
    output
        The dictionary's pass over these rows.
    dead_F
        Indices of dead latents, int64.
    """
    error_S = squared_error_S(output.reconstruction_BSD, scaled_BSD)
    total = len(scaled_BSD) * state.variance
    reconstruction = error_S.sum() / total
    sparsity = auxk = reconstruction.new_zeros(())
    if plan.sparsity is not None and output.penalty is not None:
        unit = state.dictionary.penalty_growth(len(plan.sites)) * math.sqrt(state.variance)
        sparsity = plan.sparsity * sparsity_factor(plan, state.rows) / unit * output.penalty
    if plan.auxk_weight and len(dead_F) and isinstance(state.dictionary, TopKDictionary):
        residual_BSD = scaled_BSD - output.reconstruction_BSD.detach()
        least = total * torch.finfo(scaled_BSD.dtype).eps
        share = auxk_loss(
            state.dictionary, scaled_BSD, residual_BSD, dead_F, most_latents=plan.auxk_latents, least=least
        )
        auxk = plan.auxk_weight * share
    return Objective(reconstruction, sparsity, auxk, error_S)
