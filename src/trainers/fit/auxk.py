"""AuxK: dead latents learn to reconstruct the residual."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from trainers.dictionaries.codes.topk import topk_pass
from trainers.dictionaries.dictionary import Dictionary

__all__ = ["auxk_loss"]

LEAST_MULTIPLE: Final = 0.01
"""If the dead latents point away from the residual, the best multiple is negative and would teach them that."""


def auxk_loss(
    dictionary: Dictionary,
    values_BSD: Tensor,
    residual_BSD: Tensor,
    dead_F: Tensor,
    *,
    most_latents: int,
    least: float,
) -> Tensor:
    """Return the share of the squared residual that the dead latents leave, sums over the batch.

    ``min_m ||e - m e^||^2 / ||e||^2`` with e the residual, e^ the decoding (without bias) of the k_aux dead latents
    that rank highest, in the ranking of the main pass, and m one number for the batch. It does not depend on the scale
    of the rows or the number of sites: it is 1 if the dead latents reconstruct nothing, and 0 if they reconstruct all
    that the others leave. Only columns of dead latents are computed.

    This is the AuxK loss of Gao et al. 2024 (section A.2), where m is 1. The residual is small beside the rows, so
    activations of dead latents are far too large for it. With m = 1 the loss first makes them small: then they lose
    against the living, or end below zero, where ReLU passes no gradient. With the best m it turns latents towards the
    residual and leaves their size alone.

    Parameters
    ----------
    residual_BSD
        ``x - x^`` at the written sites; no gradient flows into it.
    dead_F
        Indices of dead latents, int64, rising, at least one.
    most_latents
        k_aux; all dead latents if there are fewer.
    least
        Squared residual of the batch below which there is nothing to learn; it bounds the divisor.
    """
    score_F = dictionary.score_F()
    residual_BX = residual_BSD.detach().flatten(1)
    of_dead = dictionary.weights().only(dead_F)
    kept = min(most_latents, len(dead_F))
    score_F = None if score_F is None else score_F.index_select(0, dead_F)
    guess_BX = topk_pass(of_dead, dictionary.inputs(values_BSD), kept=kept, score_F=score_F).reconstruction_BX
    error = mse_loss(_best_multiple(guess_BX.detach(), residual_BX) * guess_BX, residual_BX, reduction="sum")
    return error / residual_BX.square().sum().clamp_min(least)


def _best_multiple(guess_BX: Tensor, residual_BX: Tensor) -> Tensor:
    """Return the multiple of the guess that is nearest to the residual, in bounds that leave a gradient."""
    square = guess_BX.square().sum().clamp_min(torch.finfo(guess_BX.dtype).tiny)
    return ((guess_BX * residual_BX).sum() / square).clamp(LEAST_MULTIPLE, 1.0)
