"""Train the members of one pass, score them, and say what became of each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import torch

from actstore import Progress, Stream, StreamReport, errors
from trainers.fit.plan import TrainPlan
from trainers.save.checkpoint import read_record
from trainers.save.run_folder import RunFolder
from trainers.score.evaluate import evaluate_together
from trainers.score.held_out import HeldOut
from trainers.workflows.memory import OutOfMemoryError
from trainers.workflows.results import describe_training
from trainers.workflows.resume import Asked, SavedRun
from trainers.workflows.stopping import Stopped, StopSignals
from trainers.workflows.sweeps.folder import SweepFolder
from trainers.workflows.sweeps.passes import Member, Pass
from trainers.workflows.training.prepare import hold_out_rows, prepare_run
from trainers.workflows.training.run import Finished, OwnRows, Run, worse_than_mean
from trainers.workflows.training.train_together import run_together

__all__ = ["Outcome", "train_pass"]


class Outcome(NamedTuple):
    """What became of a member."""

    result: dict[str, Any] | None
    """As in its `result.json`; None if it did not finish."""
    failure: str | None
    """Why it did not finish, or why its dictionary is useless; None if all is well."""


def train_pass(
    one: Pass, folder: SweepFolder, *, title: str, device: torch.device, progress: Progress
) -> dict[str, Outcome]:
    """Train and score the members of a pass that have not ended yet; return what became of all of them.

    Raises
    ------
    CheckpointError
        If the folder of a member does not fit it.
    TrainingError
        If a folder cannot be written.
    Stopped
        After a signal, with a checkpoint of each member.
    """
    ended = {member.name: _earlier(folder.member(member.name), member.plan) for member in one.members}
    outcomes = {name: outcome for name, outcome in ended.items() if outcome is not None}
    members = [member for member in one.members if member.name not in outcomes]
    if not members:
        return outcomes
    signals = StopSignals()
    with one.rows.open() as stream:
        runs = _prepare(members, folder, stream, device=device, progress=progress)
        with signals.listening():
            trained = run_together(
                runs, stream, title=f"{title}: {_dictionaries(runs)}", progress=progress, signals=signals
            )
        if signals.requested:
            raise signals.stopped(_describe_stop(folder, trained, signals.stopped()))
        report = stream.report()
    by_name: dict[str, tuple[Member, Run, Finished]] = {}
    for member, run, finished in zip(members, runs, trained, strict=True):
        if isinstance(finished, errors.ActstoreError):
            outcomes[member.name] = _failed(run, finished)
        else:
            by_name[member.name] = (member, run, finished)
    with signals.listening():
        try:
            return outcomes | _score(list(by_name.values()), report, progress)
        except Stopped as stopped:
            raise Stopped(stopped.number, _describe_stop(folder, trained, stopped)) from stopped


def _earlier(folder: RunFolder, plan: TrainPlan) -> Outcome | None:
    """Return what became of a member before; None if it has to be trained or scored."""
    if (reason := folder.read_failure()) is not None:
        return Outcome(None, reason)
    result, newest = folder.read_result(), folder.newest_checkpoint()
    if result is None or newest is None or read_record(newest).step < plan.steps:
        return None
    explained = result.get("explained_variance")
    worse = isinstance(explained, float) and explained < 0
    failure = f"{folder.path}: the explained variance is {explained:.3f}, below that of the mean of the rows (0)"
    return Outcome(result, failure if worse else None)


def _prepare(
    members: Sequence[Member], folder: SweepFolder, stream: Stream, *, device: torch.device, progress: Progress
) -> list[Run]:
    """Return the runs of members on a stream that has the sites of all of them."""
    held_out: dict[tuple[tuple[str, ...], int], HeldOut | None] = {}
    runs = []
    for member in members:
        own = folder.member(member.name)
        saved = None
        if own.checkpoints.exists():
            own.refuse_links()
            newest = own.newest_checkpoint()
            saved = SavedRun(own, newest, None if newest is None else read_record(newest))
        plan, rows, options = member.plan, member.rows, member.options
        record = Asked(rows.plan.source, member.config, options, saved).record
        run = prepare_run(
            plan,
            rows,
            record,
            options,
            device=device,
            folder=own.path,
            saved=saved,
            labels=member.labels,
            progress=progress,
        )
        if member.stream != stream.cursor.stream:
            columns = tuple(stream.sites.index(site) for site in plan.sites)
            run = replace(run, own=OwnRows(columns, member.stream))
        key = (plan.sites, run.eval_every)
        if key not in held_out:
            held_out[key] = hold_out_rows(run, rows)
        runs.append(replace(run, held_out=held_out[key]))
    return runs


def _failed(run: Run, error: errors.ActstoreError) -> Outcome:
    """Note why a member stopped, so that a resumed sweep does not try it again; without memory it may go better."""
    if not isinstance(error, OutOfMemoryError):
        newest = run.folder.newest_checkpoint()
        run.folder.write_failure(0 if newest is None else read_record(newest).step, str(error))
    return Outcome(None, str(error))


def _score(
    trained: Sequence[tuple[Member, Run, Finished]], report: StreamReport, progress: Progress
) -> dict[str, Outcome]:
    """Score dictionaries, those of the same sites on one reading of the rows."""
    outcomes: dict[str, Outcome] = {}
    for _, group in groupby(sorted(trained, key=_sites), key=_sites):
        same = list(group)
        member, run, _ = same[0]
        evaluations = [finished.evaluation(run.plan) for _, run, finished in same]
        with member.rows.open_for_scoring(run.evaluated_on) as stream:
            evaluate_together(evaluations, stream, max_rows=run.options.evaluation_rows, progress=progress)
        for (member, run, finished), evaluation in zip(same, evaluations, strict=True):
            try:
                score = evaluation.score()
            except errors.NumericsError as error:
                outcomes[member.name] = _failed(run, error)
                continue
            result = describe_training(run, finished, report, score, live=None)
            run.folder.write_result(result.document(), finished.counts(evaluation))
            outcomes[member.name] = Outcome(result.document(), worse_than_mean(run, finished, score.explained_variance))
    return outcomes


def _sites(one: tuple[Member, Run, Finished]) -> tuple[str, ...]:
    return one[1].plan.sites


def _dictionaries(runs: Sequence[Run]) -> str:
    return runs[0].plan.dictionary if len(runs) == 1 else f"{len(runs)} dictionaries"


def _describe_stop(folder: SweepFolder, trained: Sequence[Finished | errors.ActstoreError], stopped: Stopped) -> str:
    steps = [one.state.step for one in trained if isinstance(one, Finished)]
    at = f" at step {max(steps):,}" if steps else ""
    return (
        f"stopped by {stopped.cause}{at}; {len(steps)} dictionaries have checkpoints in {folder.path}\n"
        f"go on with: trainer sweep --resume {shlex.quote(str(folder.path))}"
    )
