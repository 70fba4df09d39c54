"""One step of training."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.auxk import auxk_loss
from trainers.fit.dead import advance_idle_rows, dead_latents
from trainers.fit.plan import TrainPlan
from trainers.fit.reconstruction import reconstruction_loss
from trainers.fit.schedule import learning_rate, sparsity_factor
from trainers.fit.state import TrainState

__all__ = ["StepReport", "train_step"]


class StepReport(NamedTuple):
    """Report of one step. Losses are computed before the update."""

    step: int
    """Steps done, this one included."""
    rows: int
    """Rows trained on so far."""
    lr: float
    loss: float
    reconstruction: float
    """Squared error, summed over sites and features, mean over the batch."""
    sparsity: float
    """Penalty times its coefficient; 0 for TopK dictionaries."""
    auxk: float
    """AuxK loss times its weight; 0 while no latent is dead."""
    l0: float
    """Mean number of active latents of a row."""
    explained_variance: float
    """1 - `reconstruction` / variance of the rows of the store."""
    dead: int
    """Latents that have been idle for `dead_after_rows`."""


def train_step(state: TrainState, values_BSD: Tensor, plan: TrainPlan) -> StepReport:
    """Update the weights from one batch, float32 [B, S, D] as the stream gives it.

    Raises
    ------
    TrainingError
        If loss or gradient is not finite; the state is then unchanged.
    """
    rows = len(values_BSD)
    scaled_BSD = values_BSD.to(state.idle_rows_F.device) * state.scale_S[:, None]
    dead_F = dead_latents(state.idle_rows_F, dead_after_rows=plan.dead_after_rows)
    products = torch.autocast(scaled_BSD.device.type, torch.bfloat16, enabled=plan.precision == "bf16")
    with products:
        output = state.dictionary(scaled_BSD)
    reconstruction = reconstruction_loss(output.reconstruction_BSD, scaled_BSD)
    sparsity = auxk = reconstruction.new_zeros(())
    if plan.sparsity is not None and output.penalty is not None:
        sparsity = plan.sparsity * sparsity_factor(plan, state.step) * output.penalty
    if plan.auxk_weight and len(dead_F):
        residual_BSD = scaled_BSD - output.reconstruction_BSD.detach()
        with products:
            auxk = plan.auxk_weight * auxk_loss(state.dictionary, scaled_BSD, residual_BSD, dead_F)
    loss = reconstruction + sparsity + auxk
    loss.backward()  # type: ignore[no-untyped-call]
    if state.dictionary.unit_norm_decoder:
        _remove_parallel_gradient(state.dictionary)
    norm = torch.nn.utils.clip_grad_norm_(state.dictionary.parameters(), plan.gradient_clip)
    parts = torch.stack([loss, reconstruction, sparsity, auxk, norm, output.fired_F.sum() / rows]).tolist()
    _check_finite(state, scaled_BSD, loss=parts[0], norm=parts[4])
    lr = learning_rate(plan, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.dictionary.unit_norm_decoder:
        _normalise_decoder(state.dictionary)
    state.idle_rows_F = advance_idle_rows(state.idle_rows_F, output.fired_F, rows=rows)
    state.step += 1
    state.rows += rows
    return StepReport(
        step=state.step,
        rows=state.rows,
        lr=lr,
        loss=parts[0],
        reconstruction=parts[1],
        sparsity=parts[2],
        auxk=parts[3],
        l0=parts[5],
        explained_variance=1.0 - parts[1] / state.variance,
        dead=len(dead_F),
    )


def _check_finite(state: TrainState, scaled_BSD: Tensor, *, loss: float, norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    state.optimizer.zero_grad()
    cause = (
        "the rows are finite, so training diverged: lower --lr"
        if bool(torch.isfinite(scaled_BSD).all())
        else "the batch holds values that are not finite: check the store with 'actstore verify'"
    )
    raise errors.TrainingError(
        f"step {state.step + 1}: loss is {loss}, gradient norm {norm}; {cause}. Weights and checkpoints are unchanged"
    )


@torch.no_grad()
def _remove_parallel_gradient(dictionary: Dictionary) -> None:
    """Remove the part of the decoder's gradient that stretches its rows, so that Adam's moments do not contain it."""
    weight_FX, gradient_FX = dictionary.W_dec, dictionary.W_dec.grad
    if gradient_FX is None:
        raise RuntimeError("the decoder has no gradient: call backward first")
    along_F = (weight_FX * gradient_FX).sum(dim=1, keepdim=True)
    gradient_FX.addcmul_(weight_FX, along_F, value=-1.0)


@torch.no_grad()
def _normalise_decoder(dictionary: Dictionary) -> None:
    dictionary.W_dec.div_(torch.linalg.vector_norm(dictionary.W_dec, dim=1, keepdim=True))
