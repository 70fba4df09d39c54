"""First weights and optimiser of a run."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final

import numpy as np
import torch

from trainers.dictionaries.dictionary import Dictionary, Role
from trainers.fit.normalise import InputFacts
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState

__all__ = ["ENCODER_SCALE", "build_optimizer", "initial_weights", "start"]

ADAM_BETAS: Final = (0.9, 0.999)
ENCODER_SCALE: Final = 0.75  # docs/decisions/0023-objective-and-defaults.md
"""The encoder starts as the transposed decoder times this."""
ADAM_EPS: Final = 6.25e-10  # Gao et al. 2024, section A.3; the objective is a share, so gradients are small


class _Draw(IntEnum):
    """Purpose of a random number; part of its seed, so that no two uses share a stream."""

    WEIGHTS = 1


def start(plan: TrainPlan, inputs: InputFacts, *, device: torch.device) -> TrainState:
    """Return the state before the first step."""
    dictionary = plan.build()
    initial_weights(dictionary, inputs, seed=plan.seed)
    dictionary.to(device)
    return TrainState(
        dictionary=dictionary,
        optimizer=build_optimizer(dictionary, plan, variance=inputs.variance),
        scale_S=torch.as_tensor(inputs.scale_S, dtype=torch.float32, device=device),
        variance=inputs.variance,
        idle_rows_F=torch.zeros(plan.latents, dtype=torch.int64, device=device),
    )


@torch.no_grad()
def initial_weights(dictionary: Dictionary, inputs: InputFacts, *, seed: int) -> None:
    """Fill the weights: random decoder rows of norm 1, encoder part of the transpose, biases at the mean.

    The transpose is the initialisation of Gao et al. 2024 (section A.1); `ENCODER_SCALE` of it is measured to be
    better. With b_dec the mean, known exactly from the statistics of the store, an SAE starts by encoding centred rows;
    a crosscoder, which subtracts nothing, starts the same way because b_enc is set to ``-mean W_enc``. Drawn on the
    CPU, so every device starts from the same bits.
    """
    generator = torch.Generator().manual_seed(int(np.random.default_rng([seed, _Draw.WEIGHTS]).integers(2**63)))
    shape = dictionary.shape
    decoder_FX = torch.randn(shape.latents, shape.sites * shape.width, generator=generator)
    decoder_FX /= torch.linalg.vector_norm(decoder_FX, dim=1, keepdim=True)
    mean_X = torch.as_tensor(inputs.mean_SD, dtype=torch.float32).flatten()
    dictionary.W_dec.copy_(decoder_FX.view_as(dictionary.W_dec))
    dictionary.W_enc.copy_(ENCODER_SCALE * decoder_FX.t().reshape(dictionary.W_enc.shape))
    dictionary.b_dec.copy_(mean_X.view_as(dictionary.b_dec))
    if not dictionary.one_site:
        dictionary.b_enc.copy_(-ENCODER_SCALE * (decoder_FX @ mean_X))


def build_optimizer(dictionary: Dictionary, plan: TrainPlan, *, variance: float) -> torch.optim.Adam:
    """Return Adam over the weights; the learning rate of each is `plan.lr` times its ``factor``, by its role.

    Adam moves a weight by the learning rate, whatever the size of its gradient. So that a run depends neither on the
    scale of the rows nor on how often a site is repeated, the step of each weight follows its size: weights over S
    sites have norm 1 together, so each has ``1 / sqrt(S)`` of the rate; biases are in units of the rows, so `b_enc` has
    ``sqrt(variance)`` of it and the bias of a site ``sqrt(variance / S)``. The encoder then has `encoder_rate` of
    that: a step of it changes which latents fire. ``unit`` is the factor with which a gradient counts when the gradient
    is clipped. The fused form takes a third of the time of the default on a CPU (0.9 of 2.6 ms for 2 M weights).

    Parameters
    ----------
    variance
        Mean squared distance of the scaled rows from their mean, summed over sites.
    """
    spread, root_sites = math.sqrt(variance), math.sqrt(dictionary.shape.sites)
    factor_and_unit = {
        Role.ENCODER: (plan.encoder_rate / root_sites, 1.0),
        Role.ENCODER_BIAS: (plan.encoder_rate * spread, spread),
        Role.DECODER: (1.0 / root_sites, 1.0),
        Role.DECODER_BIAS: (spread / root_sites, spread),
        Role.LOG: (plan.encoder_rate, 1.0),
    }
    roles, groups = dictionary.roles(), []
    for name, parameter in dictionary.named_parameters():
        factor, unit = factor_and_unit[roles[name]]
        groups.append({"params": [parameter], "factor": factor, "unit": unit})
    return torch.optim.Adam(groups, lr=plan.lr, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True)
