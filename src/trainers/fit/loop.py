"""Steps, one after the other, until the plan is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.fit.rows.places import RowPlaces
from trainers.fit.source import BatchSource
from trainers.fit.state import TrainState
from trainers.fit.step import StepReport, train_step

__all__ = ["Served", "Trained", "serve", "step_on", "train"]


class Served(NamedTuple):
    """A batch with the time that it took to be made."""

    values_BSD: Tensor
    data_s: float
    """Waiting, gathering, decoding."""
    places: RowPlaces
    """Which residues the rows are of."""


class Trained(NamedTuple):
    """One step with its duration."""

    report: StepReport
    batch_rows: int
    """Over all ranks."""
    seconds: float
    """Wall time of the step, from the request for the batch."""
    data_s: float
    """Part of it in which the batch was being made: waiting, gathering, decoding."""


def train(state: TrainState, source: BatchSource, plan: TrainPlan, *, parts: int = 1) -> Iterator[Trained]:
    """Train until `plan.steps`, yielding after each step.

    While the caller holds a result, `source.cursor` is the position of the next batch: the time to save a
    checkpoint. Raises as `serve` and `step_on`.
    """
    for served in serve(source, done=state.step, steps=plan.steps):
        yield step_on(state, served, plan, parts=parts)


def serve(source: BatchSource, *, done: int, steps: int) -> Iterator[Served]:
    """Yield the batches of the steps after `done` until `steps`. Epochs follow each other, each in its own order.

    Raises
    ------
    TrainingError
        If the source gives no batches.
    """
    dry_epochs = 0
    while done < steps:
        dry_epochs += 1
        if dry_epochs > 2:  # one may be empty: a cursor at the end of its epoch
            raise errors.TrainingError(f"step {done + 1}: the stream gives no batches, but reports {source.rows} rows")
        batches = iter(source)
        began = time.perf_counter()
        while done < steps and (batch := next(batches, None)) is not None:
            dry_epochs = 0
            done += 1
            yield Served(torch.as_tensor(batch.values_BSD), time.perf_counter() - began, RowPlaces.of(batch))
            began = time.perf_counter()


def step_on(state: TrainState, served: Served, plan: TrainPlan, *, parts: int = 1) -> Trained:
    """Train on a batch.

    Parameters
    ----------
    parts
        Passes for one update; see `train_step`.

    Raises
    ------
    TrainingError
        As `train_step`.
    """
    began, rows = time.perf_counter(), state.rows
    report = train_step(state, served.values_BSD, plan, places=served.places, parts=parts)
    seconds = served.data_s + time.perf_counter() - began
    return Trained(report, state.rows - rows, seconds, served.data_s)
