"""Gradients of a batch that is trained on in parts: one after the other, or on several ranks, or both.

The loss of a batch is a mean over its rows, so a part counts by its share of them, and gradients add up. What is no
mean, the ratio of the AuxK loss, is of sums over the whole batch (`Whole`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainers.dictionaries.ranks import all_sum, rank_count, sum_in_place
from trainers.fit.objective import Whole, auxk_sums_of, objective
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState

__all__ = ["Passed", "backward"]


class Passed(NamedTuple):
    """What a batch leaves beside the gradients: sums over its parts on this rank; firing counts are of all ranks."""

    loss: Tensor
    terms: dict[str, Tensor]
    """By name, each with the share of this rank's rows: over all ranks they add up to the term of the batch."""
    error_S: Tensor
    fired_F: Tensor


def backward(
    state: TrainState, scaled_BSD: Tensor, dead_F: Tensor, plan: TrainPlan, *, rows: int, parts: int
) -> Passed:
    """Compute the gradients of a batch, summed over all ranks, in the weights.

    Parameters
    ----------
    scaled_BSD
        The rows of this rank.
    dead_F
        Indices of dead latents, int64.
    rows
        Rows of the batch over all ranks.
    parts
        Passes, one after the other, each over an equal part of the rows; the memory of a pass is that of its part.
    """
    pieces = scaled_BSD.tensor_split(max(1, min(parts, rows // rank_count())))
    whole = Whole(rows, None if len(pieces) == 1 else _auxk_sums(state, pieces, dead_F, plan))
    passed: Passed | None = None
    for piece_BSD in pieces:
        now = _backward(state, piece_BSD, dead_F, plan, whole)
        passed = now if passed is None else _added(passed, now)
    assert passed is not None  # noqa: S101 - there is at least one piece
    trained = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    sum_in_place(parameter.grad for parameter in trained if parameter.grad is not None)
    return passed._replace(fired_F=all_sum(passed.fired_F))


def _backward(state: TrainState, piece_BSD: Tensor, dead_F: Tensor, plan: TrainPlan, whole: Whole) -> Passed:
    with _products(piece_BSD, plan):
        output = state.dictionary(piece_BSD)
        objective_ = objective(state, piece_BSD, output, dead_F, plan, whole)
        loss, terms = objective_.loss, dict(objective_.terms)
    if len(piece_BSD) != whole.rows:
        share = len(piece_BSD) / whole.rows
        loss, terms = share * loss, {name: share * term for name, term in terms.items()}
    loss.backward()  # type: ignore[no-untyped-call]
    detached = {name: term.detach() for name, term in terms.items()}
    return Passed(loss.detach(), detached, objective_.error_S.detach(), output.fired_F)


def _added(one: Passed, other: Passed) -> Passed:
    return Passed(
        one.loss + other.loss,
        {name: term + other.terms[name] for name, term in one.terms.items()},
        one.error_S + other.error_S,
        one.fired_F + other.fired_F,
    )


def _auxk_sums(state: TrainState, pieces: Sequence[Tensor], dead_F: Tensor, plan: TrainPlan) -> Tensor | None:
    """Return the sums of the AuxK loss over all parts, which a pass over one of them cannot know."""
    sums: list[Tensor] = []
    for piece_BSD in pieces:
        with _products(piece_BSD, plan):
            of_piece = auxk_sums_of(state, piece_BSD, dead_F, plan)
        if of_piece is None:
            return None
        sums.append(of_piece)
    return all_sum(torch.stack(sums).sum(dim=0))


def _products(rows_BSD: Tensor, plan: TrainPlan) -> torch.autocast:
    return torch.autocast(rows_BSD.device.type, torch.bfloat16, enabled=plan.precision == "bf16")
