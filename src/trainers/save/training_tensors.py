"""The tensors that training needs beside the dictionary: moments of the optimiser, idle rows, the probe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.initialise import build_optimizer, trained_parameters
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.fit.terms.labels import Labels
from trainers.fit.terms.probe import Probe
from trainers.save.record import CheckpointRecord
from trainers.save.tensors import check_tensors

__all__ = ["restored_state", "training_tensors"]

_IDLE_ROWS: Final = "idle_rows"
_PROBE: Final = "probe."
_ADAM: Final = ("step", "exp_avg", "exp_avg_sq")


def training_tensors(state: TrainState) -> dict[str, Tensor]:
    """Return them by name: ``W_enc.exp_avg``, ``W_enc.exp_avg_sq``, ``W_enc.step``, ...; ``idle_rows``; ``probe.*``."""
    tensors = {_IDLE_ROWS: state.idle_rows_F}
    if state.probe is not None:
        tensors |= {_PROBE + name: tensor for name, tensor in state.probe.state_dict().items()}
    for name, (parameter, _) in trained_parameters(state.dictionary, state.probe).items():
        tensors |= {f"{name}.{part}": value for part, value in state.optimizer.state[parameter].items()}
    return tensors


def restored_state(
    dictionary: Dictionary,
    tensors: Mapping[str, Tensor],
    record: CheckpointRecord,
    plan: TrainPlan,
    *,
    labels: Labels | None,
    file: Path,
) -> TrainState:
    """Return the state of a checkpoint whose dictionary is restored, on the device of the dictionary.

    Raises
    ------
    CheckpointError
        If tensors are missing, or of another shape; `file` is named.
    """
    device = next(dictionary.parameters()).device
    probe = None
    if labels is not None:
        probe = Probe(plan.latents, labels, variance=record.read_variance or record.variance).to(device)
    of_probe = {} if probe is None else {_PROBE + name: one for name, one in probe.named_parameters()}
    named = {name: parameter for name, (parameter, _) in trained_parameters(dictionary, probe).items()}
    expected = {_IDLE_ROWS: torch.empty(plan.latents, dtype=torch.int64)} | of_probe
    if record.step:
        for name, parameter in named.items():
            expected |= {f"{name}.{part}": parameter for part in _ADAM[1:]}
            expected[f"{name}.step"] = torch.empty((), dtype=torch.float32)
    check_tensors(file, tensors, expected)
    with torch.no_grad():
        for name, parameter in of_probe.items():
            parameter.copy_(tensors[name])
    optimizer = build_optimizer(
        dictionary, plan, variance=record.variance, read_variance=record.read_variance, probe=probe
    )
    if record.step:
        for name, parameter in named.items():
            optimizer.state[parameter] = {
                part: _laid_as(parameter, tensors[f"{name}.{part}"].to(device)) for part in _ADAM
            }
    return TrainState(
        dictionary=dictionary,
        optimizer=optimizer,
        scale_S=torch.tensor(record.input_scale, dtype=torch.float32, device=device),
        variance=record.variance,
        read_variance=record.read_variance,
        idle_rows_F=tensors[_IDLE_ROWS].to(device),
        step=record.step,
        rows=record.rows,
        most_norm_S=None if record.most_norm is None else torch.tensor(record.most_norm, device=device),
        dropped_rows=record.dropped_rows,
        drawn_rows=record.drawn_rows,
        probe=probe,
    )


def _laid_as(parameter: Tensor, moment: Tensor) -> Tensor:
    """Return a moment in the memory order of its parameter: the fused optimiser pairs numbers by their places there."""
    return torch.empty_like(parameter).copy_(moment) if moment.shape == parameter.shape else moment
