"""Prepare a planned run: where its rows come from, its statistics, and the rows that it is scored on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch

from actstore import Progress
from trainers.fit.plan import TrainPlan
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.score.held_out import HeldOut, hold_out
from trainers.workflows.options import RunOptions
from trainers.workflows.resume import SavedRun
from trainers.workflows.rows import Rows
from trainers.workflows.run import Run

__all__ = ["HELD_OUT_BYTES", "hold_out_rows", "prepare_run"]

HELD_OUT_SPLIT: Final = "valid"
HELD_OUT_BYTES: Final = 64 << 20
"""Most memory for the rows of the evaluations during training."""
_EVALUATIONS: Final = 20
_LEAST_EVAL_EVERY: Final = 100


def prepare_run(
    plan: TrainPlan,
    rows: Rows,
    record: RunRecord,
    options: RunOptions,
    *,
    device: torch.device,
    folder: Path,
    saved: SavedRun | None,
    progress: Progress,
) -> Run:
    """Return a run that can begin, without rows for evaluations during training."""
    # The held-out split if all of it is available; otherwise the split of training. The result names it.
    held_out = plan.split != HELD_OUT_SPLIT and rows.has_whole(HELD_OUT_SPLIT)
    return Run(
        plan=plan,
        origin=describe_origin(rows.origin, plan.sites),
        statistics=rows.statistics(progress),
        folder=RunFolder(folder),
        record=record,
        options=options,
        device=device,
        saved=saved,
        held_out=None,
        eval_every=options.eval_every or max(_LEAST_EVAL_EVERY, plan.steps // _EVALUATIONS),
        evaluated_on=HELD_OUT_SPLIT if held_out else plan.split,
    )


def hold_out_rows(run: Run, rows: Rows) -> HeldOut | None:
    """Read the rows for evaluations during training; None if there are no evaluations, or no held-out rows."""
    if run.evaluated_on != HELD_OUT_SPLIT or run.plan.split == HELD_OUT_SPLIT or run.eval_every > run.plan.steps:
        return None
    row_bytes = 4 * len(run.plan.sites) * run.plan.width
    most = max(1, min(run.options.evaluation_rows, HELD_OUT_BYTES // row_bytes))
    with rows.open_first(HELD_OUT_SPLIT, most, row_bytes=row_bytes) as stream:
        return hold_out(stream, max_rows=most)
