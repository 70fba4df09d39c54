"""One training run on an open stream: start or resume, train, evaluate, save, keep metrics."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from actstore import Progress, Silent, errors
from trainers.dictionaries.ranks import LostRank
from trainers.fit.health import Health, HealthRecord
from trainers.fit.initialise import start
from trainers.fit.loop import Trained, train
from trainers.fit.normalise import SiteMoments, describe_inputs
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.save.checkpoint import read_checkpoint, resume_state, write_checkpoint
from trainers.save.files import writing_to
from trainers.save.metrics_log import MetricsLog
from trainers.save.record import Origin
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.score.evaluate import Score, evaluate
from trainers.score.held_out import HeldOut
from trainers.workflows.memory import free_bytes, is_out_of_memory, what_fits
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import ALONE, Ranks
from trainers.workflows.resume import SavedRun, command_to_resume, prepare_folder
from trainers.workflows.seated import ClosableSource, go_to
from trainers.workflows.stopping import StopSignals

__all__ = ["Finished", "Run", "run_training", "suggestion"]

_LOGGED_STEPS: Final = 1000
"""Approximate number of metric lines of a run of any length."""


@dataclass(frozen=True, slots=True)
class Run:
    """A resolved training run: its dictionary, its rows, its folder, and its rows for scoring."""

    plan: TrainPlan
    origin: Origin
    statistics: Mapping[str, SiteMoments]
    folder: RunFolder
    record: RunRecord
    """What the user asked for."""
    options: RunOptions
    device: torch.device
    saved: SavedRun | None
    """The run to go on with; None for a new one."""
    held_out: HeldOut | None
    """Rows for evaluation during training; None for no evaluation."""
    eval_every: int
    evaluated_on: str
    """Split of the rows for scoring."""
    ranks: Ranks = ALONE
    """Which of how many processes this is; the first writes the folder."""

    @property
    def passes(self) -> int:
        """Parts of a batch, over all processes, each of which is a pass."""
        return self.ranks.size * self.options.accumulate

    @property
    def resumed_from_step(self) -> int | None:
        """Step of the checkpoint from which it goes on; None if there is none."""
        return None if self.saved is None or self.saved.record is None else self.saved.record.step


class Finished(NamedTuple):
    """A run at its last step, or at the step at which it was told to stop."""

    state: TrainState
    health: Health
    rows: int
    """Rows trained on in this process."""
    seconds: float
    """Time of the steps."""
    data_s: float
    """Part of it in which the next batch was prepared: waiting, gathering, decoding."""


def run_training(run: Run, source: ClosableSource, *, progress: Progress, signals: StopSignals) -> Finished:
    """Train until the plan is done; a run killed at any moment can be resumed with the same result.

    A request to stop ends it after the step in hand, with a checkpoint of that step.

    Raises
    ------
    CheckpointError
        If the folder holds a run; if a resumed run does not fit the rows.
    TrainingError
        If the loss is not finite, the run falls apart, or the folder cannot be written. The last good checkpoint stays
        as it is, and is named.
    """
    training = _Training(run, source, signals, _start(run, source))
    rows_before = training.state.rows
    with (
        MetricsLog(run.folder.metrics) if run.ranks.first else nullcontext() as log,
        progress.stage(f"training {run.plan.dictionary}", total=run.plan.rows, unit="rows", done=rows_before) as stage,
        signals.deferred(source.close),
    ):
        for trained in training.steps():
            metrics = training.after(trained)
            with training.rescued():
                if metrics is not None and log is not None:
                    log.append(metrics)
                if training.checkpoint_is_due():
                    if log is not None:
                        log.flush_to_disk()
                    training.save()
            stage.advance(trained.batch_rows, note=training.note(trained))
            if signals.requested and not run.ranks.several:  # several agree before their next step
                break
        if signals.requested:
            training.keep()
    state = training.state
    return Finished(state, training.health, state.rows - rows_before, training.seconds, training.data_s)


def _start(run: Run, source: ClosableSource) -> TrainState:
    """Return the first state of a run or that of its checkpoint, with `source` at its cursor and the folder ready."""
    saved = run.saved
    if saved is None or saved.checkpoint is None:
        inputs = describe_inputs(run.plan.sites, run.statistics, normalisation=run.plan.normalisation)
        state = start(run.plan, inputs, device=run.device)
    else:
        checkpoint = read_checkpoint(saved.checkpoint)
        state = resume_state(checkpoint, plan=run.plan, origin=run.origin, device=run.device)
        go_to(source, checkpoint.cursor, rows=checkpoint.record.rows)
    if run.ranks.first:
        prepare_folder(run.folder, saved, run.record, step=state.step)
    return state


class _Training:
    """A run while it trains."""

    def __init__(self, run: Run, source: ClosableSource, signals: StopSignals, state: TrainState) -> None:
        self._run, self._source, self._signals = run, source, signals
        self.state = state
        self.health = Health(steps=run.plan.steps, before=_health_before(run))
        self.seconds = self.data_s = 0.0
        self._saved_step = state.step
        self._cursor = source.cursor
        self._log_every = max(1, run.plan.steps // _LOGGED_STEPS)
        self._score: Score | None = None

    def steps(self) -> Iterator[Trained]:
        """Train; an error of the rows or of the training says what is kept."""
        try:
            yield from train(self.state, self._source, self._run.plan, parts=self._run.options.accumulate)
        except (errors.StreamError, errors.StoreError, LostRank) as error:
            if self._signals.requested:
                return
            self.keep()
            raise type(error)(f"{error}. {self._kept(self.state.step)}") from error
        except errors.TrainingError as error:
            raise type(error)(f"{error}. {self._kept(self.health.last_good_step)}") from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            plan, free, passes = self._run.plan, free_bytes(self._run.device), self._run.passes
            fits = "lower --batch-rows or --latents" if free is None else what_fits(plan, free, passes=passes)
            rows = -(-plan.batch_rows // passes)
            raise errors.TrainingError(
                f"step {self.state.step + 1:,}: out of memory on {self._run.device} with {rows:,} rows and "
                f"{plan.latents:,} latents; {fits}. {self._kept(self.health.last_good_step)}"
            ) from error

    def after(self, trained: Trained) -> dict[str, Any] | None:
        """Judge a step; return its metrics if they are due.

        Raises
        ------
        TrainingError
            If the run has fallen apart.
        """
        self._cursor = self._source.cursor
        self.seconds += trained.seconds
        self.data_s += trained.data_s
        step = self.state.step
        self.health.add(step, trained.report.batch_explained_variance)
        if self.health.fallen is not None:
            best, now = self.health.fallen
            raise errors.TrainingError(
                f"step {step:,}: training fell apart: the explained variance fell from {best:.3f} to {now:.3f} (median "
                f"of {self.health.window} steps). {suggestion(self._run.plan)}. "
                f"{self._kept(self.health.last_good_step)}"
            )
        last = step == self._run.plan.steps
        score = self._evaluate() if last or step % self._run.eval_every == 0 else None
        if score is None and not last and step % self._log_every:
            return None
        return _metrics(trained, score, evaluated_on=self._run.evaluated_on)

    def note(self, trained: Trained) -> str:
        """Return the state in a few words."""
        report, score, run = trained.report, self._score, self._run
        explained = [
            f"{value:.3f} {where}"
            for value, where in (
                (None if score is None else score.explained_variance, f"on {run.evaluated_on}"),
                (report.batch_explained_variance, "in the batch"),
            )
            if value is not None
        ]
        dead = "" if report.dead is None else f", dead {report.dead / run.plan.latents:.1%}"
        return f"explained variance {', '.join(explained) or '-'}; L0 {report.batch_l0:.1f}{dead}"

    def checkpoint_is_due(self) -> bool:
        """Return whether the step in hand has a checkpoint in any case."""
        return self.state.step == self._run.plan.steps or self.state.step % self._run.options.checkpoint_every == 0

    def save(self, folder: RunFolder | None = None) -> None:
        """Write a checkpoint, if this is the process that writes."""
        if self._run.ranks.first:
            write_checkpoint(
                (folder or self._run.folder).checkpoints,
                self.state,
                plan=self._run.plan,
                origin=self._run.origin,
                cursor=self._cursor,
                keep=self._run.options.keep,
                health=self.health.record,
            )
        self._saved_step = self.state.step

    def keep(self) -> None:
        """Write a checkpoint of the present step, unless there is one."""
        if self.state.step > self._saved_step:
            with self.rescued():
                self.save()

    @contextmanager
    def rescued(self) -> Iterator[None]:
        """If the folder cannot be written, put the run where temporary files go, and say so."""
        try:
            with writing_to(self._run.folder.path):
                yield
        except errors.TrainingError as error:
            raise errors.TrainingError(f"{error}. {self._rescue()}") from error

    def _rescue(self) -> str:
        run = self._run
        spare: Path | None = None
        try:
            spare = Path(tempfile.mkdtemp(prefix="trainer-"))
            folder = RunFolder(spare / run.folder.path.name)
            with writing_to(folder.path):
                folder.begin(run.record)
                if run.folder.metrics.exists():
                    shutil.copyfile(run.folder.metrics, folder.metrics)
                self.save(folder)
        except (OSError, errors.TrainingError):
            if spare is not None:
                shutil.rmtree(spare, ignore_errors=True)
            return self._kept(self.state.step)
        return (
            f"Step {self.state.step:,} is saved in {folder.path} instead; go on with: "
            f"{command_to_resume(folder.path, run.options)} --out FOLDER"
        )

    def _kept(self, step: int | None) -> str:
        """Say which checkpoint is the last good one, up to a step."""
        path = self._run.folder.last_good_checkpoint(step)
        if path is None:
            return f"There is no good checkpoint in {self._run.folder.path}"
        return f"The last good checkpoint is {path}"

    def _evaluate(self) -> Score | None:
        """Score on the held-out rows in memory; None without such rows, or if the run was told to stop meanwhile."""
        held_out = self._run.held_out
        if held_out is None:
            return None
        rows = held_out.until(lambda: self._signals.requested)
        score = evaluate(
            self.state.dictionary,
            rows,
            scale_S=self.state.scale_S,
            max_rows=held_out.rows,
            progress=Silent(),
            written=self._run.plan.written,
        )
        if self._signals.requested:
            return None
        self._score = score
        return score


def _health_before(run: Run) -> HealthRecord | None:
    """Return the health of the run at its checkpoint; of a version that did not keep it, only that it was sound."""
    record = None if run.saved is None else run.saved.record
    if record is None or record.health is not None:
        return None if record is None else record.health
    return HealthRecord(best=None, last_good_step=record.step)


def suggestion(plan: TrainPlan) -> str:
    """Return what usually helps a run whose dictionary is worse than the mean of the rows."""
    penalty = "" if plan.sparsity is None else f", a smaller --sparsity (now {plan.sparsity:g})"
    return f"Begin again with a lower --lr (now {plan.lr:g}){penalty} or more --steps (now {plan.steps:,})"


def _metrics(trained: Trained, score: Score | None, *, evaluated_on: str) -> dict[str, Any]:
    """Return a line of metrics: the step, and beside it the score if there is one, by the names of the result."""
    evaluated: dict[str, Any] = {}
    if score is not None:
        evaluated = {"evaluated_on": evaluated_on, "evaluated_rows": score.rows, **score._asdict()}
        del evaluated["rows"]
    step = trained.report._asdict()
    return {
        **{name: value for name, value in step.items() if name != "terms"},
        **trained.report.terms,
        "rows_per_s": trained.batch_rows / trained.seconds,
        "data_share": trained.data_s / trained.seconds,
        **evaluated,
    }
