"""Train a dictionary on the rows of a store, read or computed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import torch

from actstore import Progress, Silent
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder
from trainers.score.evaluate import evaluate
from trainers.workflows.device import choose_device
from trainers.workflows.options import RunOptions
from trainers.workflows.results import TrainingResult, describe_training
from trainers.workflows.rows import Rows, open_rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.train_run import Run, run_training

__all__ = ["default_folder", "read_from_store"]

HELD_OUT_SPLIT: Final = "valid"


def read_from_store(
    source: str | os.PathLike[str],
    config: TrainConfig,
    options: RunOptions | None = None,
    *,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a dictionary from a store, evaluate it on held-out rows, and save it in the folder of the run.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file; a recipe, too, if all rows are computed.
    config
        What to train.
    options
        Device, folder, memory and access.
    progress
        Where to report; None for no report.

    Raises
    ------
    UsageError
        If the request does not fit the store; nothing was written.
    CheckpointError
        If the folder holds a run and `resume` is not set; if `resume` is set and it holds no run or another one.
    TrainingError
        If training cannot continue.
    """
    options = options or RunOptions()
    progress = progress or Silent()
    device = choose_device(options.device)
    if options.out is not None:
        RunFolder(options.out).check(resume=options.resume)
    with open_rows(plan_rows(source, config, options, device=device), progress) as rows:
        with rows.open() as stream:
            plan = plan_training(config, StreamFacts.of(stream))
            run = _resolve(plan, options, rows, device=device, progress=progress)
            finished = run_training(run, stream, progress=progress)
            report = stream.report()
        with rows.open_for_scoring(run.evaluated_on) as held_out:
            score = evaluate(
                finished.state.dictionary,
                held_out,
                scale_S=finished.state.scale_S,
                max_rows=run.evaluation_rows,
                progress=progress,
            )
        live = rows.finish(plan.split, progress)
    result = describe_training(run, finished, report, score, live=live)
    if finished.rows or not run.folder.result.exists():
        run.folder.write_result(result.document())
    return result


def default_folder(plan: TrainPlan) -> Path:
    """Return ``runs/<dictionary>-<sites>-seed<seed>``; the name of more than two sites is first, last and number."""
    sites = plan.sites
    named = "-".join(sites) if len(sites) <= 2 else f"{sites[0]}-to-{sites[-1]}-{len(sites)}-sites"
    return Path("runs") / re.sub(r"[^\w.-]", "_", f"{plan.dictionary}-{named}-seed{plan.seed}")


def _resolve(plan: TrainPlan, options: RunOptions, rows: Rows, *, device: torch.device, progress: Progress) -> Run:
    """Settle the folder of a planned run and its rows for scoring, and refuse a folder that it cannot use."""
    folder = RunFolder(options.out or default_folder(plan))
    folder.check(resume=options.resume)
    return Run(
        plan=plan,
        origin=describe_origin(rows.origin, plan.sites),
        statistics=rows.statistics(progress),
        folder=folder,
        device=device,
        checkpoint_every=options.checkpoint_every,
        resume=options.resume,
        # The held-out split if all of it is available; otherwise the split of training. The result names it.
        evaluated_on=HELD_OUT_SPLIT if rows.has_whole(HELD_OUT_SPLIT) else plan.split,
        evaluation_rows=options.evaluation_rows,
    )
