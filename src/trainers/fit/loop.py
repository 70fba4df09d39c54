"""Steps, one after the other, until the plan is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import torch

from actstore import errors
from trainers.fit.plan import TrainPlan
from trainers.fit.source import BatchSource
from trainers.fit.state import TrainState
from trainers.fit.step import StepReport, train_step

__all__ = ["Trained", "train"]


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
    checkpoint. Epochs follow each other, each in its own order.

    Parameters
    ----------
    parts
        Passes for one update; see `train_step`.

    Raises
    ------
    TrainingError
        If a loss is not finite, or the source gives no batches.
    """
    dry_epochs = 0
    while state.step < plan.steps:
        dry_epochs += 1
        if dry_epochs > 2:  # one may be empty: a cursor at the end of its epoch
            raise errors.TrainingError(
                f"step {state.step + 1}: the stream gives no batches, but reports {source.rows} rows"
            )
        batches = iter(source)
        began = time.perf_counter()
        while state.step < plan.steps and (batch := next(batches, None)) is not None:
            data_s = time.perf_counter() - began
            rows = state.rows
            report = train_step(state, torch.as_tensor(batch.values_BSD), plan, parts=parts)
            ended = time.perf_counter()
            dry_epochs = 0
            yield Trained(report, state.rows - rows, ended - began, data_s)
            began = time.perf_counter()
