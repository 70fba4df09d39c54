"""One training run on an open stream: start or resume, train, save, keep metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from actstore import Progress
from trainers.fit.initialise import start
from trainers.fit.loop import Trained, train
from trainers.fit.normalise import SiteMoments, describe_inputs
from trainers.fit.plan import TrainPlan
from trainers.fit.source import BatchSource
from trainers.fit.state import TrainState
from trainers.save.checkpoint import read_checkpoint, resume_state, write_checkpoint
from trainers.save.files import writing_to
from trainers.save.metrics_log import MetricsLog, drop_lines_after
from trainers.save.record import Origin
from trainers.save.run_folder import RunFolder

__all__ = ["Finished", "Run", "run_training"]

_LOGGED_STEPS = 1000
"""Approximate number of metric lines of a run of any length."""


@dataclass(frozen=True, slots=True)
class Run:
    """A resolved training run: its dictionary, its rows, its folder, and its rows for scoring."""

    plan: TrainPlan
    origin: Origin
    statistics: Mapping[str, SiteMoments]
    folder: RunFolder
    device: torch.device
    checkpoint_every: int
    resume: bool
    evaluated_on: str
    """Split of the rows for scoring."""
    evaluation_rows: int
    """Most rows for scoring."""


class Finished(NamedTuple):
    """A run at its last step."""

    state: TrainState
    resumed_from_step: int | None
    rows: int
    """Rows trained on in this process."""
    seconds: float
    """Time of the steps."""
    data_s: float
    """Part of it in which the next batch was prepared: waiting, gathering, decoding."""


def run_training(run: Run, source: BatchSource, *, progress: Progress) -> Finished:
    """Train until the plan is done; a run killed at any moment can be resumed with the same result.

    Raises
    ------
    CheckpointError
        If the folder holds a run and `resume` is not set; if `resume` is set and it holds no run or another one.
    TrainingError
        If the loss is not finite. The last checkpoint stays as it is.
    """
    plan, folder = run.plan, run.folder
    state = _resume(run, source) if run.resume else None
    resumed_from = state.step if state else None
    if state is None:
        inputs = describe_inputs(plan.sites, run.statistics, normalisation=plan.normalisation)
        state = start(plan, inputs, device=run.device)
        if not run.resume:
            folder.begin()
    seconds = data_s = 0.0
    rows_before = state.rows
    log_every = max(1, plan.steps // _LOGGED_STEPS)
    title = f"training {plan.dictionary}"
    with (
        MetricsLog(folder.metrics) as log,
        progress.stage(title, total=plan.rows, unit="rows", done=state.rows) as stage,
    ):
        for trained in train(state, source, plan):
            seconds += trained.seconds
            data_s += trained.data_s
            last = state.step == plan.steps
            with writing_to(folder.path):
                if last or state.step % log_every == 0:
                    log.append(_metrics(trained))
                if last or state.step % run.checkpoint_every == 0:
                    log.flush_to_disk()
                    write_checkpoint(folder.checkpoints, state, plan=plan, origin=run.origin, cursor=source.cursor)
            report = trained.report
            stage.advance(trained.batch_rows, note=f"EV {report.explained_variance:.3f} L0 {report.l0:.1f}")
    return Finished(state, resumed_from, state.rows - rows_before, seconds, data_s)


def _resume(run: Run, source: BatchSource) -> TrainState | None:
    """Return the saved state, with `source` at its cursor; None if the run was stopped before its first checkpoint."""
    path = run.folder.newest_checkpoint()
    if path is None:
        drop_lines_after(run.folder.metrics, 0)
        return None
    checkpoint = read_checkpoint(path)
    state = resume_state(checkpoint, plan=run.plan, origin=run.origin, device=run.device)
    source.seek(checkpoint.cursor)
    drop_lines_after(run.folder.metrics, state.step)
    return state


def _metrics(trained: Trained) -> dict[str, float | int]:
    return {
        **trained.report._asdict(),
        "rows_per_s": trained.batch_rows / trained.seconds,
        "data_share": trained.data_s / trained.seconds,
    }
