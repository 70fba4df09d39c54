"""Train a dictionary on the rows of a store, read or computed."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import torch

from actstore import Progress, Silent, Stream, StreamReport, errors
from trainers.dictionaries.ranks import all_sum, told_by_first
from trainers.fit.config import TrainConfig
from trainers.fit.extend import continued_plan
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder, claim_new_folder
from trainers.score.evaluate import Score, evaluate
from trainers.score.held_out import HeldOut, hold_out
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
from trainers.workflows.train_run import Finished, Run, run_training, suggestion

__all__ = ["default_folder", "read_from_store"]

HELD_OUT_SPLIT: Final = "valid"
_HELD_OUT_BYTES: Final = 64 << 20
"""Most memory for the rows of the evaluations during training."""
_EVALUATIONS: Final = 20
_LEAST_EVAL_EVERY: Final = 100
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
    device = ranks.device(asked.options.device)
    rows_plan = plan_rows(asked.source, asked.config, asked.options, device=device, ranks=ranks)
    with joined(ranks, device):
        if ranks.first and asked.options.out is not None and (asked.saved is None or asked.elsewhere):
            RunFolder(asked.options.out).check_free()
        return _train(asked, rows_plan, ranks, device=device, progress=progress)


def _train(
    asked: Asked, rows_plan: RowsPlan, ranks: Ranks, *, device: torch.device, progress: Progress
) -> TrainingResult:
    signals = StopSignals()

    def seated(stream: Stream) -> ClosableSource:
        return SeatedSource(stream, ranks, signals, device) if ranks.several else stream

    with open_rows(rows_plan, progress) as rows:
        with rows.open() as stream:
            facts = StreamFacts.of(seated(stream))
        run = _resolve(_plan(asked, facts), asked, rows, ranks, device=device, progress=progress)
        # Opened again, after the held-out rows: computed rows are kept for the stream that was opened last.
        with rows.open() as stream:
            with signals.listening():
                finished = run_training(run, seated(stream), progress=progress, signals=signals)
                stop_together(signals, device)
            if signals.requested:
                raise signals.stopped(_describe_stop(run, signals.stopped(), finished.state.step))
            report = _of_all(stream.report(), device)
        with signals.listening():
            score, live = _finish(run, finished, rows, progress)
    result = describe_training(run, finished, report, score, live=live)
    if ranks.first and (finished.rows or not run.folder.result.exists()):
        run.folder.write_result(result.document())
    _refuse_worse_than_mean(run, finished, score)
    return result


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


def _plan(asked: Asked, facts: StreamFacts) -> TrainPlan:
    plan = plan_training(asked.config, facts)
    if asked.saved is None or asked.saved.record is None:
        return plan
    return continued_plan(asked.saved.record.plan, plan, rows=asked.saved.record.rows)


def _resolve(
    plan: TrainPlan, asked: Asked, rows: Rows, ranks: Ranks, *, device: torch.device, progress: Progress
) -> Run:
    """Settle the folder of a planned run and its rows for scoring, and refuse a folder that it cannot use."""
    options = asked.options
    path = options.out or default_folder(plan, asked.source, now=datetime.now().astimezone())
    if ranks.first and options.out is None:
        RunFolder(path).refuse_store()
    elif ranks.first and (asked.saved is None or asked.elsewhere):
        RunFolder(path).check_free()
    sharing = ranks.local_size if device.type == "cpu" else 1
    check_memory(plan, device, passes=ranks.size * options.accumulate, processes=sharing)
    check_room(RunFolder(path), plan, keep=options.keep, checkpoint_every=options.checkpoint_every)
    statistics = rows.statistics(progress)
    eval_every = options.eval_every or max(_LEAST_EVAL_EVERY, plan.steps // _EVALUATIONS)
    # The held-out split if all of it is available; otherwise the split of training. The result names it.
    held_out = plan.split != HELD_OUT_SPLIT and rows.has_whole(HELD_OUT_SPLIT)
    if options.out is None:
        path = Path(told_by_first(str(claim_new_folder(path) if ranks.first else path), device=device))
    return Run(
        plan=plan,
        origin=describe_origin(rows.origin, plan.sites),
        statistics=statistics,
        folder=RunFolder(path),
        record=asked.record,
        options=options,
        device=device,
        saved=asked.saved,
        held_out=_held_out(plan, options, rows) if held_out and eval_every <= plan.steps else None,
        eval_every=eval_every,
        evaluated_on=HELD_OUT_SPLIT if held_out else plan.split,
        ranks=ranks,
    )


def _held_out(plan: TrainPlan, options: RunOptions, rows: Rows) -> HeldOut:
    row_bytes = 4 * len(plan.sites) * plan.width
    most = max(1, min(options.evaluation_rows, _HELD_OUT_BYTES // row_bytes))
    with rows.open_first(HELD_OUT_SPLIT, most, row_bytes=row_bytes) as stream:
        return hold_out(stream, max_rows=most)


def _finish(run: Run, finished: Finished, rows: Rows, progress: Progress) -> tuple[Score, dict[str, Any] | None]:
    """Score the dictionary and complete a store that was filled; a run that is stopped here can be resumed to here."""
    try:
        with rows.open_for_scoring(run.evaluated_on) as stream:
            score = evaluate(
                finished.state.dictionary,
                stream,
                scale_S=finished.state.scale_S,
                max_rows=run.options.evaluation_rows,
                progress=progress,
                written=run.plan.written,
            )
        return score, rows.finish(run.plan.split, progress)
    except Stopped as stopped:
        raise Stopped(stopped.number, _describe_stop(run, stopped, finished.state.step)) from stopped


def _describe_stop(run: Run, stopped: Stopped, step: int) -> str:
    checkpoint = run.folder.newest_checkpoint()
    kept = f"checkpoint: {checkpoint}" if checkpoint else f"nothing to keep yet; its folder is {run.folder.path}"
    return (
        f"stopped by {stopped.cause} at step {step:,} of {run.plan.steps:,}; {kept}\n"
        f"go on with: {command_to_resume(run.folder.path, run.options, processes=run.ranks.local_size)}"
    )


def _refuse_worse_than_mean(run: Run, finished: Finished, score: Score) -> None:
    """Refuse a dictionary that reconstructs rows worse than their mean does.

    Raises
    ------
    TrainingError
        If the explained variance is negative, or not a number.
    """
    explained, best = score.explained_variance, finished.health.best
    if explained is None or explained >= 0:
        return
    good = run.folder.last_good_checkpoint(finished.health.last_good_step) if best is not None and best > 0 else None
    kept = f"The last good checkpoint is {good}" if good else "No checkpoint of this run is better"
    raise errors.TrainingError(
        f"{run.folder.path}: after {finished.state.step:,} steps the explained variance on split {run.evaluated_on!r} "
        f"is {explained:.3f}, which is below that of the mean of the rows (0): nothing useful was learned. "
        f"{suggestion(run.plan)}. {kept}"
    )
