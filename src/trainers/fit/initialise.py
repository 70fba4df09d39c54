"""First weights and optimiser of a run."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final

import numpy as np
import torch
from torch import nn

from trainers.dictionaries.dictionary import Dictionary, Role
from trainers.fit.normalise import InputFacts
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.fit.terms.labels import Labels
from trainers.fit.terms.probe import Probe

__all__ = ["ENCODER_SCALE", "build_optimizer", "draw_seed", "initial_weights", "start", "trained_parameters"]

ADAM_BETAS: Final = (0.9, 0.999)
ENCODER_SCALE: Final = 0.75  # docs/decisions/0023-objective-and-defaults.md
"""The encoder starts as the transposed decoder times this."""
THRESHOLD_RATE: Final = 4.0  # docs/dictionaries/jumprelu-sae.md
"""Learning rate of log thresholds beside that of the encoder."""
ADAM_EPS: Final = 6.25e-10  # Gao et al. 2024, section A.3; the objective is a share, so gradients are small


class _Draw(IntEnum):
    """Purpose of a random number; part of its seed, so that no two uses share a stream."""

    WEIGHTS = 1
    ROWS = 2


def draw_seed(seed: int) -> int:
    """Return the seed of the order of the rows that are drawn before training; training reads them in another one."""
    return int(np.random.default_rng([seed, _Draw.ROWS]).integers(2**63))


def start(plan: TrainPlan, inputs: InputFacts, *, device: torch.device, labels: Labels | None = None) -> TrainState:
    """Return the state before the first step; `labels` are those of the plan."""
    dictionary = plan.build()
    initial_weights(dictionary, inputs, seed=plan.seed)
    dictionary.to(device)
    probe = None
    if labels is not None:
        probe = Probe(plan.latents, labels, variance=inputs.read_variance or inputs.variance).to(device)
    most_norm_S = inputs.most_norm_S
    return TrainState(
        dictionary=dictionary,
        optimizer=build_optimizer(
            dictionary, plan, variance=inputs.variance, read_variance=inputs.read_variance, probe=probe
        ),
        scale_S=torch.as_tensor(inputs.scale_S, dtype=torch.float32, device=device),
        variance=inputs.variance,
        read_variance=inputs.read_variance,
        idle_rows_F=torch.zeros(plan.latents, dtype=torch.int64, device=device),
        most_norm_S=None if most_norm_S is None else torch.as_tensor(most_norm_S, dtype=torch.float32, device=device),
        drawn_rows=inputs.drawn_rows,
        probe=probe,
    )


@torch.no_grad()
def initial_weights(dictionary: Dictionary, inputs: InputFacts, *, seed: int) -> None:
    """Fill the weights: `Dictionary.first_weights`.

    The transpose is the initialisation of Gao et al. 2024 (section A.1); `ENCODER_SCALE` of it is measured to be
    better. With b_dec the mean, known exactly from the statistics of the store, an SAE starts by encoding centred rows;
    a crosscoder, which subtracts nothing, starts the same way because b_enc is set to ``-mean W_enc``, and a transcoder
    subtracts the mean of the rows that it reads. The geometric median may take the place of the mean. Drawn on the CPU,
    so every device starts from the same bits.
    """
    generator = torch.Generator().manual_seed(int(np.random.default_rng([seed, _Draw.WEIGHTS]).integers(2**63)))
    shape, read_variance = dictionary.shape, inputs.variance if inputs.read_variance is None else inputs.read_variance
    centre_SD = torch.as_tensor(inputs.start_SD, dtype=torch.float32)
    dictionary.first_weights(generator, centre_SD, encoder_scale=ENCODER_SCALE)
    span = dictionary.spans()["W_enc"]
    spread = math.sqrt(read_variance * (span / len(shape.read)) / shape.width)
    dictionary.begin(spread=spread, first_pre=ENCODER_SCALE * spread / math.sqrt(span), seed=seed)


def trained_parameters(dictionary: Dictionary, probe: Probe | None) -> dict[str, tuple[nn.Parameter, Role]]:
    """Return all that the optimiser changes by its name, with its role; names of a probe begin with ``probe.``."""
    roles = dictionary.roles()
    named = {name: (parameter, roles[name]) for name, parameter in dictionary.named_parameters()}
    if probe is None:
        return named
    return named | {f"probe.{name}": (one, probe.roles()[name]) for name, one in probe.named_parameters()}


def build_optimizer(
    dictionary: Dictionary,
    plan: TrainPlan,
    *,
    variance: float,
    read_variance: float | None = None,
    probe: Probe | None = None,
) -> torch.optim.Adam:
    """Return Adam over the weights; the learning rate of each is `plan.lr` times its ``factor``, by its role.

    Adam moves a weight by the learning rate, whatever the size of its gradient. So that a run depends neither on the
    scale of the rows nor on how often a site is repeated, the step of each weight follows its size: weights over S
    sites have norm 1 together, so each has ``1 / sqrt(S)`` of the rate; biases are in units of the rows, so `b_enc` has
    ``sqrt(variance)`` of it and the bias of a site ``sqrt(variance / S)``; S is that of `Dictionary.spans`. The encoder
    then has `encoder_rate` of that: a step of it changes which latents fire. A skip, of D features as the encoder is,
    has that rate too. ``unit`` is the factor with which a gradient counts when the gradient is clipped. The fused form
    takes a third of the time of the default on a CPU (0.9 of 2.6 ms for 2 M weights).

    Parameters
    ----------
    variance
        Mean squared distance of the scaled rows from their mean, summed over the sites that are written.
    read_variance
        The same for those that are read; None if these are the same.
    """
    spread, spans, groups = math.sqrt(variance), dictionary.spans(), []
    read_variance = variance if read_variance is None else read_variance
    for name, (parameter, role) in trained_parameters(dictionary, probe).items():
        sites = spans.get(name, 1)
        root_sites = math.sqrt(sites)
        of_code = math.sqrt(read_variance * (sites / len(dictionary.shape.read)))
        factor, unit = {
            Role.ENCODER: (plan.encoder_rate / root_sites, 1.0),
            Role.ENCODER_BIAS: (plan.encoder_rate * of_code, of_code),
            Role.DECODER: (1.0 / root_sites, 1.0),
            Role.DECODER_BIAS: (spread / root_sites, spread),
            Role.SKIP: (plan.encoder_rate, 1.0),
            Role.PROBE: (1.0, 1.0),
            Role.LOG: (plan.encoder_rate, 1.0),
            Role.LOG_THRESHOLD: (THRESHOLD_RATE * plan.encoder_rate, 1.0),
        }[role]
        groups.append({"params": [parameter], "factor": factor, "unit": unit})
    return torch.optim.Adam(groups, lr=plan.lr, betas=ADAM_BETAS, eps=ADAM_EPS, fused=True)
