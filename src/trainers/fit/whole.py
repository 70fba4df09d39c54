"""Gradients of a batch that is trained on in parts: one after the other, or on several ranks, or both.

The loss of a batch is a mean over its rows, so a part counts by its share of them, and gradients add up. What is no
mean, the ratio of the AuxK loss, is of sums over the whole batch (`Whole`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import DictionaryOutput
from trainers.dictionaries.ranks import all_sum, rank_count, sum_in_place
from trainers.fit.objective import Objective, Whole, auxk_sums_of, objective
from trainers.fit.plan import TrainPlan
from trainers.fit.reconstruction import squared_error_S
from trainers.fit.rows.places import RowPlaces
from trainers.fit.rows.transform import PreparedRows, RowStatistics
from trainers.fit.state import TrainState

__all__ = ["Passed", "backward"]


class Passed(NamedTuple):
    """What a batch leaves beside the gradients: sums over its parts on this rank; firing counts are of all ranks."""

    loss: Tensor
    terms: dict[str, Tensor]
    """By name, each with the share of this rank's rows: over all ranks they add up to the term of the batch."""
    error_S: Tensor
    """Squared error of each written site, in the units of the scaled rows."""
    fired_F: Tensor
    counts: Mapping[str, int]
    """`Objective.counts`; terms that count something are of batches in one part."""


def backward(
    state: TrainState,
    rows: PreparedRows,
    dead_F: Tensor,
    plan: TrainPlan,
    *,
    batch_rows: int,
    parts: int,
    places: RowPlaces | None = None,
) -> Passed:
    """Compute the gradients of a batch, summed over all ranks, in the weights.

    Parameters
    ----------
    rows
        Those of this rank.
    dead_F
        Indices of dead latents, int64.
    batch_rows
        Rows of the batch over all ranks.
    parts
        Passes, one after the other, each over an equal part of the rows; the memory of a pass is that of its part.
    places
        Which residues the rows are of, for terms about residues. Such terms need a batch in one part, on one rank.
    """
    pieces = _divided(rows, max(1, min(parts, batch_rows // rank_count())))
    one_part = len(pieces) == 1
    whole = Whole(batch_rows, None if one_part else _auxk_sums(state, pieces, dead_F, plan))
    passed: Passed | None = None
    for piece in pieces:
        now = _backward(state, piece, dead_F, plan, whole, places if one_part else None)
        passed = now if passed is None else _added(passed, now)
    assert passed is not None  # noqa: S101 - there is at least one piece
    trained = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
    sum_in_place(parameter.grad for parameter in trained if parameter.grad is not None)
    return passed._replace(fired_F=all_sum(passed.fired_F))


def _backward(
    state: TrainState,
    rows: PreparedRows,
    dead_F: Tensor,
    plan: TrainPlan,
    whole: Whole,
    places: RowPlaces | None,
) -> Passed:
    with _products(rows, plan):
        output = state.dictionary(rows.inputs_BSD)
        objective_ = objective(state, rows.inputs_BSD, output, dead_F, plan, whole, places=places)
        loss, terms = objective_.loss, dict(objective_.terms)
    if len(rows.inputs_BSD) != whole.rows:
        share = len(rows.inputs_BSD) / whole.rows
        loss, terms = share * loss, {name: share * term for name, term in terms.items()}
    loss.backward()  # type: ignore[no-untyped-call]
    detached = {name: term.detach() for name, term in terms.items()}
    error_S = _scaled_error_S(state, rows, output, objective_)
    return Passed(loss.detach(), detached, error_S, output.fired_F, objective_.counts)


@torch.no_grad()
def _scaled_error_S(state: TrainState, rows: PreparedRows, output: DictionaryOutput, objective_: Objective) -> Tensor:
    """Return the squared error of each written site, in the units of the scaled rows."""
    if rows.statistics is None:
        return objective_.error_S.detach()
    targets = state.dictionary.targets
    return squared_error_S(rows.undo(output.reconstruction_BSD, targets), targets(rows.scaled_BSD))


def _divided(rows: PreparedRows, parts: int) -> list[PreparedRows]:
    """Return consecutive parts of some rows, whose numbers of rows differ by at most one."""
    if parts == 1:
        return [rows]
    statistics: Sequence[RowStatistics | None] = [None] * parts
    if rows.statistics is not None:
        columns = (column_BS1.tensor_split(parts) for column_BS1 in rows.statistics)
        statistics = [RowStatistics(*of_part) for of_part in zip(*columns, strict=True)]
    pieces = zip(rows.inputs_BSD.tensor_split(parts), rows.scaled_BSD.tensor_split(parts), statistics, strict=True)
    return [PreparedRows(*piece) for piece in pieces]


def _added(one: Passed, other: Passed) -> Passed:
    return Passed(
        one.loss + other.loss,
        {name: term + other.terms[name] for name, term in one.terms.items()},
        one.error_S + other.error_S,
        one.fired_F + other.fired_F,
        other.counts,
    )


def _auxk_sums(state: TrainState, pieces: Sequence[PreparedRows], dead_F: Tensor, plan: TrainPlan) -> Tensor | None:
    """Return the sums of the AuxK loss over all parts, which a pass over one of them cannot know."""
    sums: list[Tensor] = []
    for piece in pieces:
        with _products(piece, plan):
            of_piece = auxk_sums_of(state, piece.inputs_BSD, dead_F, plan)
        if of_piece is None:
            return None
        sums.append(of_piece)
    return all_sum(torch.stack(sums).sum(dim=0))


def _products(rows: PreparedRows, plan: TrainPlan) -> torch.autocast:
    return torch.autocast(rows.inputs_BSD.device.type, torch.bfloat16, enabled=plan.precision == "bf16")
