"""AuxK: dead latents learn to reconstruct the residual."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from trainers.dictionaries.dictionary import Dictionary, FlatWeights
from trainers.dictionaries.topk import topk_pass

__all__ = ["auxk_loss"]


def auxk_loss(dictionary: Dictionary, values_BSD: Tensor, residual_BSD: Tensor, dead_F: Tensor) -> Tensor:
    """Return the error of the dead latents' reconstruction of the residual, divided by the residual's variance.

    The AuxK loss of Gao et al. 2024 (section A.2): ``||e - e^||^2 / var(e)`` with e the residual and e^ the decoding
    (without bias) of the k_aux dead latents that are most active. k_aux is half the features of a site, or all dead
    latents if there are fewer. Only columns of dead latents are computed.

    Parameters
    ----------
    residual_BSD
        ``x - x^``; no gradient flows into it.
    dead_F
        Indices of dead latents, int64, at least one.
    """
    weights = dictionary.flat()
    residual_BX = residual_BSD.detach().flatten(1)
    decoder_FX = weights.decoder_FX.index_select(0, dead_F)
    of_dead = FlatWeights(
        encoder_XF=weights.encoder_XF.index_select(1, dead_F),
        encoder_bias_F=weights.encoder_bias_F.index_select(0, dead_F),
        decoder_FX=decoder_FX,
        decoder_bias_X=decoder_FX.new_zeros(decoder_FX.shape[1]),
        pre_bias_X=weights.pre_bias_X,
    )
    kept = min(max(1, dictionary.shape.width // 2), len(dead_F))
    guess_BSD = topk_pass(of_dead, values_BSD, kept=kept).reconstruction_BSD
    error = mse_loss(guess_BSD.flatten(1), residual_BX, reduction="sum")
    spread = (residual_BX - residual_BX.mean(dim=0)).square().sum()
    return error / spread.clamp_min(torch.finfo(spread.dtype).tiny)
