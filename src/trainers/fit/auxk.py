"""AuxK: dead latents learn to reconstruct the residual."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from trainers.dictionaries.codes.topk import topk_pass
from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.ranks import all_sum

__all__ = ["auxk_loss", "auxk_sums"]

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
    sums: Tensor | None = None,
) -> Tensor:
    """Return the share of the squared residual that the dead latents leave, sums over the batch.

    On several ranks, and if the batch comes in parts, it is the part's share of the sum over the whole batch.

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
    sums
        `auxk_sums` over the whole batch, if these rows are a part of it; None to sum over the same part of all ranks.
    """
    residual_BX = residual_BSD.detach().flatten(1)
    guess_BX = _guess(dictionary, values_BSD, dead_F, most_latents=most_latents)
    if sums is None:
        sums = all_sum(_sums(guess_BX.detach(), residual_BX))
    error = mse_loss(_best_multiple(sums) * guess_BX, residual_BX, reduction="sum")
    return error / sums[2].clamp_min(least)


@torch.no_grad()
def auxk_sums(
    dictionary: Dictionary, values_BSD: Tensor, residual_BSD: Tensor, dead_F: Tensor, *, most_latents: int
) -> Tensor:
    """Return the sums over these rows that the loss of a whole batch needs: of ``e^ e``, ``e^^2`` and ``e^2``, [3]."""
    return _sums(_guess(dictionary, values_BSD, dead_F, most_latents=most_latents), residual_BSD.flatten(1))


def _guess(dictionary: Dictionary, values_BSD: Tensor, dead_F: Tensor, *, most_latents: int) -> Tensor:
    """Return e^, [B, X]."""
    score_F = dictionary.score_F()
    of_dead = dictionary.weights().only(dead_F)
    kept = min(most_latents, len(dead_F))
    score_F = None if score_F is None else score_F.index_select(0, dead_F)
    return topk_pass(of_dead, dictionary.inputs(values_BSD), kept=kept, score_F=score_F).reconstruction_BX


def _sums(guess_BX: Tensor, residual_BX: Tensor) -> Tensor:
    return torch.stack([(guess_BX * residual_BX).sum(), guess_BX.square().sum(), residual_BX.square().sum()])


def _best_multiple(sums: Tensor) -> Tensor:
    """Return the multiple of the guess that is nearest to the residual, in bounds that leave a gradient."""
    return (sums[0] / sums[1].clamp_min(torch.finfo(sums.dtype).tiny)).clamp(LEAST_MULTIPLE, 1.0)
