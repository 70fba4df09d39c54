"""One step of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.dictionaries.dictionary import Dictionary
from trainers.dictionaries.ranks import all_sum, rows_of_all
from trainers.fit.dead import advance_idle_rows, count_dead, dead_latents
from trainers.fit.plan import TrainPlan
from trainers.fit.reconstruction import explained_share, squared_deviation_S
from trainers.fit.rows.norms import keep_short_rows
from trainers.fit.rows.places import RowPlaces
from trainers.fit.rows.transform import prepare_rows, transform_of
from trainers.fit.schedule import learning_rate
from trainers.fit.state import TrainState
from trainers.fit.whole import backward

__all__ = ["StepReport", "train_step"]


class StepReport(NamedTuple):
    """Report of one step. Losses are computed before the update."""

    step: int
    """Steps done, this one included."""
    rows: int
    """Rows trained on so far."""
    lr: float
    loss: float
    """Sum of the terms."""
    terms: dict[str, float]
    """The terms that this run has, by name, with their weights: `fit.objective.Objective.terms`."""
    batch_explained_variance: float | None
    """Explained variance on the batch: 1 - squared error / squared deviation of its rows from their mean, both summed
    over rows and sites in scaled units, with a transform of each row undone; None if its rows do not differ."""
    batch_explained_variance_per_site: dict[str, float | None]
    batch_l0: float
    """Mean number of active latents of a row."""
    dead: int | None
    """Latents that fired on none of the last `dead_after_rows` rows; None before so many rows."""
    counts: Mapping[str, int] = MappingProxyType({})
    """As far as the run has them: ``dropped_rows`` so far because they are too long; in this batch the
    ``neighbour_pairs`` and ``labelled_rows`` of the terms about residues."""


def train_step(
    state: TrainState, values_BSD: Tensor, plan: TrainPlan, *, places: RowPlaces | None = None, parts: int = 1
) -> StepReport:
    """Update the weights from one batch, float32 [B, S, D] as the stream gives it.

    If torch has a process group, these are the rows of this rank, and everything is that of the batch of all ranks.

    Parameters
    ----------
    places
        Which residues the rows are of; a run whose objective is not about residues needs none.
    parts
        Passes over the rows of this rank, for one update: the gradients of equal parts are summed.

    Raises
    ------
    TrainingError
        If loss or gradient is not finite; the state is then unchanged. If another rank is gone, in which case the
        weights are unchanged, too.
    """
    taken, dictionary = rows_of_all(len(values_BSD), device=state.idle_rows_F.device), state.dictionary
    short_BSD, places = keep_short_rows(values_BSD.to(state.idle_rows_F.device), places, state.most_norm_S)
    kept = taken - (len(values_BSD) - len(short_BSD))
    if not kept:
        return _skip(state, taken, plan)
    rows = prepare_rows(short_BSD, scale_S=state.scale_S, transform=transform_of(plan.normalisation))
    dictionary.before_step(state.rows / plan.rows)
    dead_F = dead_latents(state.idle_rows_F, dead_after_rows=plan.dead_after_rows)
    passed = backward(state, rows, dead_F, plan, batch_rows=kept, parts=parts, places=places)
    dictionary.after_backward()
    if dictionary.unit_norm_decoder:
        _remove_parallel_gradient(dictionary)
    norm = _clip_gradient(state.optimizer, plan.gradient_clip)
    deviation_S = squared_deviation_S(dictionary.targets(rows.scaled_BSD), rows=kept)
    summed = all_sum(torch.cat([torch.stack([passed.loss, *passed.terms.values()]), passed.error_S, deviation_S]))
    l0 = passed.fired_F.sum() / kept
    loss, *sums, size, l0_ = torch.cat([summed, torch.stack([norm, l0])]).tolist()
    terms, of_sites = sums[: len(passed.terms)], sums[len(passed.terms) :]
    _check_finite(state, rows.scaled_BSD, loss=loss, norm=size)
    lr = learning_rate(plan, state.rows)
    _update(state, lr=lr)
    state.idle_rows_F = advance_idle_rows(state.idle_rows_F, passed.fired_F, rows=kept)
    state.step, state.rows, state.dropped_rows = state.step + 1, state.rows + taken, state.dropped_rows + taken - kept
    errors_S, deviations_S = of_sites[: len(plan.written)], of_sites[len(plan.written) :]
    return StepReport(
        step=state.step,
        rows=state.rows,
        lr=lr,
        loss=loss,
        terms=dict(zip(passed.terms, terms, strict=True)),
        batch_explained_variance=explained_share(sum(errors_S), sum(deviations_S)),
        batch_explained_variance_per_site=dict(
            zip(plan.written, map(explained_share, errors_S, deviations_S), strict=True)
        ),
        batch_l0=l0_,
        dead=count_dead(state.idle_rows_F, rows=state.rows, dead_after_rows=plan.dead_after_rows),
        counts={**_dropped(state), **passed.counts},
    )


def _update(state: TrainState, *, lr: float) -> None:
    """Move the weights by their gradients, and bring what follows from them up to date."""
    for group in state.optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    state.optimizer.step()
    state.optimizer.zero_grad()
    if state.dictionary.unit_norm_decoder:
        _normalise_decoder(state.dictionary)
    state.dictionary.after_step()


def _skip(state: TrainState, taken: int, plan: TrainPlan) -> StepReport:
    """Count a batch all of whose rows were dropped; the weights stay as they are."""
    lr = learning_rate(plan, state.rows)
    state.step, state.rows, state.dropped_rows = state.step + 1, state.rows + taken, state.dropped_rows + taken
    dead = count_dead(state.idle_rows_F, rows=state.rows, dead_after_rows=plan.dead_after_rows)
    nothing = dict.fromkeys(plan.written)
    return StepReport(state.step, state.rows, lr, 0.0, {}, None, nothing, 0.0, dead, _dropped(state))


def _dropped(state: TrainState) -> dict[str, int]:
    return {} if state.most_norm_S is None else {"dropped_rows": state.dropped_rows}


@torch.no_grad()
def _clip_gradient(optimizer: torch.optim.Adam, limit: float) -> Tensor:
    """Bring the norm of the gradient to at most `limit`, and return what it was; each group counts in its unit."""
    parts = [
        group["unit"] * torch.linalg.vector_norm(parameter.grad)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(parts))
    factor = (limit / (norm + 1e-6)).clamp_max(1.0)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad.mul_(factor)
    return norm


def _check_finite(state: TrainState, scaled_BSD: Tensor, *, loss: float, norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    state.optimizer.zero_grad()
    faulty = all_sum(torch.count_nonzero(~torch.isfinite(scaled_BSD)))
    cause = (
        "the rows are finite, so training diverged: lower --lr"
        if int(faulty) == 0
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
    along_F = torch.einsum("fx,fx->f", weight_FX, gradient_FX)[:, None]  # without a product of full size in memory
    gradient_FX.addcmul_(weight_FX, along_F, value=-1.0)


@torch.no_grad()
def _normalise_decoder(dictionary: Dictionary) -> None:
    dictionary.W_dec.div_(torch.linalg.vector_norm(dictionary.W_dec, dim=1, keepdim=True))
