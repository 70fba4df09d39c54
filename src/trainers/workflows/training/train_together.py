"""Training runs on one open stream: each batch is read once, and every run takes its step on it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext

from actstore import Progress, Stage, errors
from trainers.dictionaries.ranks import LostRank
from trainers.fit.loop import Served, Trained, serve
from trainers.loggers.several import Loggers
from trainers.save.metrics_log import MetricsLog
from trainers.workflows.seated import ClosableSource
from trainers.workflows.stopping import StopSignals
from trainers.workflows.training.run import Finished, Run
from trainers.workflows.training.train_run import Training

__all__ = ["run_together", "run_training"]


def run_training(
    run: Run, source: ClosableSource, *, progress: Progress, signals: StopSignals, loggers: Loggers | None = None
) -> Finished:
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
    title = f"training {run.plan.dictionary}"
    [outcome] = run_together(
        [run], source, title=title, progress=progress, signals=signals, loggers=[loggers or Loggers()]
    )
    if isinstance(outcome, errors.ActstoreError):
        raise outcome
    return outcome


def run_together(
    runs: Sequence[Run],
    source: ClosableSource,
    *,
    title: str,
    progress: Progress,
    signals: StopSignals,
    loggers: Sequence[Loggers] | None = None,
) -> list[Finished | errors.ActstoreError]:
    """Train several runs on the same batches; return what became of each.

    A run that fails stops alone. Runs may be at different steps, as after a kill between two checkpoints: the stream
    begins at the least of them, and each run waits for its next batch.

    Raises
    ------
    CheckpointError, TrainingError
        As `run_training`; of one run for all of them if it cannot begin or its folder cannot be written.
    """
    loggers = loggers or [Loggers() for _ in runs]
    members = [Training(run, source, signals, each) for run, each in zip(runs, loggers, strict=True)]
    together = _Together(members, source, signals)
    done = sum(member.state.rows for member in members)
    total = sum(run.plan.rows for run in runs)
    with (
        ExitStack() as logs,
        progress.stage(title, total=total, unit="rows", done=done) as stage,
        signals.deferred(source.close),
    ):
        for run in runs:
            log = MetricsLog(run.folder.metrics) if run.ranks.first else nullcontext()
            together.logs.append(logs.enter_context(log))
        together.train(stage)
    return [together.failed.get(number) or member.finished() for number, member in enumerate(members)]


class _Together:
    """Runs on one stream, while they train."""

    def __init__(self, members: Sequence[Training], source: ClosableSource, signals: StopSignals) -> None:
        self._members, self._source, self._signals = members, source, signals
        self.logs: list[MetricsLog | None] = []
        self.failed: dict[int, errors.ActstoreError] = {}

    def train(self, stage: Stage) -> None:
        """Train until every run is done or has failed, or the signal to stop."""
        members = self._members
        first = min([one for one in members if not one.done] or members, key=lambda one: one.state.step)
        first.seek()
        step = first.state.step
        steps = max(one.run.plan.steps for one in members)
        agree = any(one.run.ranks.several for one in members)  # several processes agree to stop before their next step
        try:
            for served in serve(self._source, done=step, steps=steps):
                self._step(served, step, stage)
                step += 1
                if (self._signals.requested and not agree) or all(one.done for one in self._living()):
                    break
        except (errors.StreamError, errors.StoreError, LostRank) as error:
            if not self._signals.requested:
                self._keep()
                raise type(error)(f"{error}. {self._kept(step)}") from error
        except errors.TrainingError as error:
            said = self._keep_what_can_be()
            raise type(error)(". ".join([str(error), *said])) from error if said else error.__cause__
        if self._signals.requested:
            self._keep()

    def _step(self, served: Served, done: int, stage: Stage) -> None:
        """Take the step after `done` in every run that is there."""
        ready = [
            (number, one)
            for number, one in enumerate(self._members)
            if number not in self.failed and not one.done and one.state.step == done
        ]
        served = served._replace(data_s=served.data_s / max(1, len(ready)))
        for number, one in ready:
            try:
                trained, metrics = one.step(served)
            except LostRank:
                raise
            except (errors.TrainingError, errors.NumericsError) as error:
                self._fail(number, error)
                continue
            except Exception as error:
                if len(self._members) == 1:
                    raise
                said = f"step {done + 1:,}: {type(error).__name__}: {error}"  # a defect, and not that of the others
                self._fail(number, errors.TrainingError(f"{said}. {one.kept}"))
                continue
            one.record(metrics, self.logs[number])
            stage.advance(trained.batch_rows, note=self._note(one, trained))

    def _fail(self, number: int, error: errors.ActstoreError) -> None:
        if len(self._members) > 1:  # frames hold the weights, and others need the memory
            error = error.with_traceback(None)
            error.__cause__ = error.__context__ = None
        self.failed[number] = error

    def _living(self) -> list[Training]:
        return [one for number, one in enumerate(self._members) if number not in self.failed]

    def _note(self, one: Training, trained: Trained) -> str:
        if len(self._members) == 1:
            return one.note(trained)
        lost = f", {len(self.failed)} failed" if self.failed else ""
        return f"{len(self._members)} dictionaries{lost}; {one.run.folder.path.name}: {one.note(trained)}"

    def _keep(self) -> None:
        for one in self._living():
            one.keep()

    def _keep_what_can_be(self) -> list[str]:
        """Keep the other runs where one cannot go on; return what is to be said of those that cannot be kept either."""
        said = []
        for one in self._living() if len(self._members) > 1 else ():
            try:
                one.keep()
            except errors.TrainingError as error:
                said.append(str(error))
        return said

    def _kept(self, step: int) -> str:
        living = self._living()
        if len(self._members) == 1:
            return living[0].kept
        return f"Checkpoints of step {step:,} of {len(living)} dictionaries are kept"
