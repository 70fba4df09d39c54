"""One training run: start or resume, step, evaluate, save, keep metrics."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from actstore import Cursor, Silent, errors
from trainers.dictionaries.ranks import LostRank
from trainers.fit.health import Health, HealthRecord
from trainers.fit.initialise import start
from trainers.fit.loop import Served, Trained, step_on
from trainers.fit.rows.drawn import run_inputs
from trainers.fit.rows.transform import transform_of
from trainers.fit.state import TrainState
from trainers.loggers.logger import LoggedRun
from trainers.loggers.several import Loggers
from trainers.save.checkpoint import read_checkpoint, resume_state, write_checkpoint
from trainers.save.files import writing_to
from trainers.save.metrics_log import MetricsLog, read_metrics
from trainers.save.run_folder import RunFolder
from trainers.score.evaluate import Score, evaluate
from trainers.workflows.memory import OutOfMemoryError, free_bytes, is_out_of_memory, what_fits
from trainers.workflows.resume import command_to_resume, prepare_folder
from trainers.workflows.seated import ClosableSource, go_to
from trainers.workflows.stopping import StopSignals
from trainers.workflows.training.run import Finished, Run, suggestion

__all__ = ["Training"]

_LOGGED_STEPS: Final = 1000
"""Approximate number of metric lines of a run of any length."""


def _start(run: Run) -> tuple[TrainState, Cursor | None]:
    """Return the first state of a run or that of its checkpoint, with its position; the folder is then ready."""
    saved, cursor = run.saved, None
    if saved is None or saved.checkpoint is None:
        inputs = run_inputs(run.plan, run.statistics, run.drawn_NSD)
        state = start(run.plan, inputs, device=run.device, labels=run.labels)
    else:
        checkpoint = read_checkpoint(saved.checkpoint)
        state = resume_state(checkpoint, plan=run.plan, origin=run.origin, device=run.device, labels=run.labels)
        cursor = checkpoint.cursor
        if run.own is not None and cursor.stream != run.own.stream:
            raise errors.CursorError(
                f"{saved.checkpoint}: was taken in stream {cursor.stream}, and this run reads {run.own.stream}: store, "
                "sites, split, order, seeds, batch_rows and buffer_bytes must be those with which it began"
            )
    if run.ranks.first:
        prepare_folder(run.folder, saved, run.record, step=state.step)
    return state, cursor


class Training:
    """A run while it trains; it begins, or goes on from its checkpoint, when this is made.

    Parameters
    ----------
    loggers
        Receive its metrics; whoever made them ends them.

    Raises
    ------
    CheckpointError
        If the folder holds a run; if a resumed run does not fit the rows.
    """

    def __init__(self, run: Run, source: ClosableSource, signals: StopSignals, loggers: Loggers) -> None:
        self._run, self._source, self._signals, self._loggers = run, source, signals, loggers
        self.state, self._cursor = _start(run)
        self._next = source.cursor
        """Position of the batch after the last whole step: the source may be one batch ahead if a step fails."""
        if run.ranks.first:
            logged = LoggedRun.of(run.folder.path, self.state.step, run.plan, run.origin, run.record)
            loggers.start(logged, read_metrics(run.folder.metrics))
        self.health = Health(steps=run.plan.steps, before=_health_before(run))
        self.seconds = self.data_s = 0.0
        self._rows_before = self.state.rows
        self._saved_step = self.state.step
        self._log_every = max(1, run.plan.steps // _LOGGED_STEPS)
        self._score: Score | None = None

    @property
    def run(self) -> Run:
        """What is trained."""
        return self._run

    @property
    def kept(self) -> str:
        """Which checkpoint is the last good one, in words."""
        return self._kept(self.state.step)

    @property
    def done(self) -> bool:
        """Whether it has come to its last step."""
        return self.state.step >= self._run.plan.steps

    def finished(self) -> Finished:
        """Return the run as it is now."""
        state = self.state
        return Finished(state, self.health, state.rows - self._rows_before, self.seconds, self.data_s)

    def seek(self) -> None:
        """Bring the stream to where this run goes on."""
        if self._cursor is not None:
            own = self._run.own
            there = self._cursor if own is None else replace(self._cursor, stream=self._source.cursor.stream)
            go_to(self._source, there, rows=self.state.rows)

    def step(self, served: Served) -> tuple[Trained, dict[str, Any] | None]:
        """Train on a batch; return the step, and its metrics if they are due.

        Raises
        ------
        TrainingError
            If the loss is not finite, the run has fallen apart, or there is no memory; the message says what is kept.
        """
        own = self._run.own
        if own is not None:
            served = served._replace(values_BSD=served.values_BSD[:, list(own.columns)])
        try:
            trained = step_on(self.state, served, self._run.plan, parts=self._run.options.accumulate)
        except LostRank:
            raise
        except errors.TrainingError as error:
            raise type(error)(f"{error}. {self._kept(self.health.last_good_step)}") from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            plan, free, passes = self._run.plan, free_bytes(self._run.device), self._run.passes
            fits = "lower --batch-rows or --latents" if free is None else what_fits(plan, free, passes=passes)
            rows = -(-plan.batch_rows // passes)
            raise OutOfMemoryError(
                f"step {self.state.step + 1:,}: out of memory on {self._run.device} with {rows:,} rows and "
                f"{plan.latents:,} latents; {fits}. {self._kept(self.health.last_good_step)}"
            ) from error
        return trained, self._after(trained)

    def record(self, metrics: dict[str, Any] | None, log: MetricsLog | None) -> None:
        """Write what is due after a step: a line of metrics, a checkpoint; raises as `rescued`.

        Parameters
        ----------
        log
            None for a process that writes nothing.
        """
        with self.rescued():
            if metrics is not None and log is not None:
                log.append(metrics)
                self._loggers.step(metrics)
            if self.state.step == self._run.plan.steps or self.state.step % self._run.options.checkpoint_every == 0:
                if log is not None:
                    log.flush_to_disk()
                    self._loggers.flush()
                self.save()

    def _after(self, trained: Trained) -> dict[str, Any] | None:
        """Judge a step; return its metrics if they are due."""
        self._next = self._source.cursor
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

    def save(self, folder: RunFolder | None = None) -> None:
        """Write a checkpoint, if this is the process that writes."""
        if self._run.ranks.first:
            write_checkpoint(
                (folder or self._run.folder).checkpoints,
                self.state,
                plan=self._run.plan,
                origin=self._run.origin,
                cursor=self._position(),
                keep=self._run.options.keep,
                health=self.health.record,
            )
        self._saved_step = self.state.step

    def _position(self) -> Cursor:
        """Return the position of the next batch, as the stream of this run alone would name it."""
        own = self._run.own
        return self._next if own is None else replace(self._next, stream=own.stream)

    def keep(self) -> None:
        """Write a checkpoint of the present step, unless there is one."""
        self._loggers.flush()
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
            transform=transform_of(self._run.plan.normalisation),
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


def _metrics(trained: Trained, score: Score | None, *, evaluated_on: str) -> dict[str, Any]:
    """Return a line of metrics: the step, and beside it the score if there is one, by the names of the result."""
    evaluated: dict[str, Any] = {}
    if score is not None:
        evaluated = {"evaluated_on": evaluated_on, "evaluated_rows": score.rows, **score._asdict()}
        del evaluated["rows"]
    step = trained.report._asdict()
    return {
        **{name: value for name, value in step.items() if name not in {"terms", "counts"}},
        **trained.report.terms,
        **trained.report.counts,
        "rows_per_s": trained.batch_rows / trained.seconds,
        "data_share": trained.data_s / trained.seconds,
        **evaluated,
    }
