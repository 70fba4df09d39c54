"""Train a dictionary on the rows of a store, read or computed."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import torch

from actstore import Progress, Silent, Stream, StreamReport, errors
from trainers.dictionaries.ranks import all_sum, told_by_first
from trainers.fit.config import TrainConfig
from trainers.fit.extend import continued_plan
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.fit.terms.labels import Labels
from trainers.loggers.several import Loggers
from trainers.loggers.table import check_loggers
from trainers.save.run_folder import RunFolder, claim_new_folder
from trainers.score.evaluate import Evaluation, evaluate_together
from trainers.workflows.memory import check_memory
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import Ranks, joined
from trainers.workflows.results import TrainingResult, describe_training
from trainers.workflows.resume import Asked, command_to_resume, settle
from trainers.workflows.room import check_room
from trainers.workflows.rows import Rows, open_rows
from trainers.workflows.rows_plan import RowsPlan, plan_rows
from trainers.workflows.seated import ClosableSource, SeatedSource, stop_together
from trainers.workflows.stopping import Stopped, StopSignals
from trainers.workflows.training.divided import check_divided
from trainers.workflows.training.labels import read_labels
from trainers.workflows.training.neighbours import check_neighbours
from trainers.workflows.training.prepare import hold_out_rows, prepare_run
from trainers.workflows.training.run import Finished, Run, worse_than_mean
from trainers.workflows.training.train_together import run_training

__all__ = ["default_folder", "read_from_store"]

_MOST_NAME: Final = 40


def read_from_store(
    source: str | os.PathLike[str] | None = None,
    config: TrainConfig | None = None,
    options: RunOptions | None = None,
    *,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a dictionary from a store, evaluate it on held-out rows, and save it in the folder of the run.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file; a recipe, too, if all rows are computed. A resumed run
        knows it already.
    config
        What to train. A resumed run takes what is not given from the run.
    options
        Device, folder, memory and access.
    progress
        Where to report; None for no report.

    Raises
    ------
    UsageError
        If the request does not fit the store or the run to resume; nothing was written.
    CheckpointError
        If the folder holds a run; if there is no run to resume, or it does not fit the rows.
    TrainingError
        If training cannot continue, or the dictionary is worse than the mean of the rows.
    Stopped
        After Ctrl-C or SIGTERM in the main thread, with a checkpoint of the step in hand.
    """
    ranks = Ranks.of_environment()
    progress = progress if progress is not None and ranks.first else Silent()
    asked = settle(source, config, options)
    check_loggers(asked.options.log)
    device = ranks.device(asked.options.device)
    rows_plan = plan_rows(asked.source, asked.config, asked.options, device=device, ranks=ranks)
    with joined(ranks, device):
        if ranks.first and asked.options.out is not None and (asked.saved is None or asked.elsewhere):
            RunFolder(asked.options.out).check_free()
        return _run(asked, rows_plan, ranks, device=device, progress=progress)


def _run(
    asked: Asked, rows_plan: RowsPlan, ranks: Ranks, *, device: torch.device, progress: Progress
) -> TrainingResult:
    signals = StopSignals()
    with open_rows(rows_plan, progress) as rows:
        with rows.open() as stream:
            facts = StreamFacts.of(_seated(stream, ranks, signals, device))
            file = asked.config.labels
            labels = None if file is None else read_labels(file, stream, split=asked.config.split)
        run = _resolve(_plan(asked, facts, labels), asked, rows, labels, ranks, device=device, progress=progress)
        with Loggers(run.options.log if ranks.first else ()) as loggers:
            finished, report = _train(run, rows, progress, signals, loggers)
            with signals.listening():
                evaluation, live = _finish(run, finished, rows, progress)
            result = describe_training(run, finished, report, evaluation.score(), live=live)
            loggers.finish(result.document())
    if ranks.first and (finished.rows or not run.folder.result.exists()):
        run.folder.write_result(result.document(), finished.counts(evaluation))
    if (worse := worse_than_mean(run, finished, result.explained_variance)) is not None:
        raise errors.TrainingError(worse)
    return result


def _seated(stream: Stream, ranks: Ranks, signals: StopSignals, device: torch.device) -> ClosableSource:
    return SeatedSource(stream, ranks, signals, device) if ranks.several else stream


def _of_all(report: StreamReport, device: torch.device) -> StreamReport:
    """Return the report of a stream with the bytes that all processes read."""
    return report._replace(bytes=int(all_sum(torch.tensor(report.bytes, device=device))))


def default_folder(plan: TrainPlan, source: str | os.PathLike[str], *, now: datetime) -> Path:
    """Return ``runs/<store>-<dictionary>-<sites>-<time>``; more than two sites are named as first, last and number."""
    sites = plan.sites
    named = "-".join(sites) if len(sites) <= 2 else f"{sites[0]}-to-{sites[-1]}-{len(sites)}-sites"
    # Only the path of a URL, and of that the last part: the rest may hold credentials.
    text = re.split(r"[?#]", os.fspath(source))[0].rstrip("/") if "://" in os.fspath(source) else os.fspath(source)
    path = Path(text).absolute()
    store = (path.stem if path.suffix in {".json", ".toml"} else path.name)[:_MOST_NAME]
    return Path("runs") / re.sub(r"[^\w.-]", "_", f"{store}-{plan.dictionary}-{named}-{now:%Y%m%d-%H%M%S}")


def _plan(asked: Asked, facts: StreamFacts, labels: Labels | None) -> TrainPlan:
    plan = plan_training(asked.config, facts, None if labels is None else labels.facts)
    if asked.saved is None or asked.saved.record is None:
        return plan
    return continued_plan(asked.saved.record.plan, plan, rows=asked.saved.record.rows)


def _resolve(
    plan: TrainPlan,
    asked: Asked,
    rows: Rows,
    labels: Labels | None,
    ranks: Ranks,
    *,
    device: torch.device,
    progress: Progress,
) -> Run:
    """Settle the folder of a planned run and its rows for scoring, and refuse a folder that it cannot use."""
    options = asked.options
    path = options.out or default_folder(plan, asked.source, now=datetime.now().astimezone())
    if ranks.first and options.out is None:
        RunFolder(path).refuse_store()
    elif ranks.first and (asked.saved is None or asked.elsewhere):
        RunFolder(path).check_free()
    check_divided(plan, ranks, options)
    check_neighbours(plan, rows.manifest)
    sharing = ranks.local_size if device.type == "cpu" else 1
    check_memory(plan, device, passes=ranks.size * options.accumulate, processes=sharing)
    check_room(RunFolder(path), plan, keep=options.keep, checkpoint_every=options.checkpoint_every)
    run = prepare_run(
        plan,
        rows,
        asked.record,
        options,
        device=device,
        folder=path,
        saved=asked.saved,
        labels=labels,
        progress=progress,
        ranks=ranks,
    )
    if options.out is None:
        claimed = claim_new_folder(path) if ranks.first else path
        run = replace(run, folder=RunFolder(Path(told_by_first(str(claimed), device=device))))
    return replace(run, held_out=hold_out_rows(run, rows))


def _train(
    run: Run, rows: Rows, progress: Progress, signals: StopSignals, loggers: Loggers
) -> tuple[Finished, StreamReport]:
    # Opened again, after the held-out rows: computed rows are kept for the stream that was opened last.
    with rows.open() as stream:
        with signals.listening():
            source = _seated(stream, run.ranks, signals, run.device)
            finished = run_training(run, source, progress=progress, signals=signals, loggers=loggers)
            stop_together(signals, run.device)
        if signals.requested:
            raise signals.stopped(_describe_stop(run, signals.stopped(), finished.state.step))
        return finished, _of_all(stream.report(), run.device)


def _finish(run: Run, finished: Finished, rows: Rows, progress: Progress) -> tuple[Evaluation, dict[str, Any] | None]:
    """Score the dictionary and complete a store that was filled; a run that is stopped here can be resumed to here."""
    evaluation = finished.evaluation(run.plan)
    try:
        with rows.open_for_scoring(run.evaluated_on) as stream:
            evaluate_together([evaluation], stream, max_rows=run.options.evaluation_rows, progress=progress)
        return evaluation, rows.finish(run.plan.split, progress)
    except Stopped as stopped:
        raise Stopped(stopped.number, _describe_stop(run, stopped, finished.state.step)) from stopped


def _describe_stop(run: Run, stopped: Stopped, step: int) -> str:
    checkpoint = run.folder.newest_checkpoint()
    kept = f"checkpoint: {checkpoint}" if checkpoint else f"nothing to keep yet; its folder is {run.folder.path}"
    return (
        f"stopped by {stopped.cause} at step {step:,} of {run.plan.steps:,}; {kept}\n"
        f"go on with: {command_to_resume(run.folder.path, run.options, processes=run.ranks.local_size)}"
    )
