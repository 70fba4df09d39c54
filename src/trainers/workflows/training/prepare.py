"""Prepare a planned run: where its rows come from, its statistics, and the rows that it is scored on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from actstore import Progress
from trainers.fit.initialise import draw_seed
from trainers.fit.plan import TrainPlan
from trainers.fit.rows.drawn import MOST_DRAWN_BYTES, MOST_DRAWN_ROWS, needs_drawn_rows
from trainers.fit.terms.labels import Labels
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.score.held_out import HeldOut, hold_out
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import ALONE, Ranks
from trainers.workflows.resume import SavedRun
from trainers.workflows.rows import Rows
from trainers.workflows.training.run import Run

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
    labels: Labels | None = None,
    ranks: Ranks = ALONE,
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
        drawn_NSD=_drawn(plan, saved, rows, progress),
        labels=labels,
        ranks=ranks,
    )


def _drawn(plan: TrainPlan, saved: SavedRun | None, rows: Rows, progress: Progress) -> NDArray[np.float32] | None:
    """Return rows drawn from the whole split, if a new run needs some; a resumed one has what follows from them."""
    begins = saved is None or saved.checkpoint is None
    if not (begins and needs_drawn_rows(plan)):
        return None
    row_bytes = 4 * len(plan.sites) * plan.width
    most = max(2, min(MOST_DRAWN_ROWS, MOST_DRAWN_BYTES // row_bytes))
    with (
        progress.stage("drawing rows", total=most, unit="rows") as stage,
        rows.open_first(plan.split, most, row_bytes=row_bytes, seed=draw_seed(plan.seed)) as stream,
    ):
        columns = [stream.sites.index(site) for site in plan.sites]
        drawn = hold_out(stream, max_rows=most)
        stage.advance(drawn.rows)
    return np.concatenate([torch.as_tensor(batch.values_BSD).cpu().numpy()[:, columns] for batch in drawn.batches])


def hold_out_rows(run: Run, rows: Rows) -> HeldOut | None:
    """Read the rows for evaluations during training; None if there are no evaluations, or no held-out rows."""
    if run.evaluated_on != HELD_OUT_SPLIT or run.plan.split == HELD_OUT_SPLIT or run.eval_every > run.plan.steps:
        return None
    row_bytes = 4 * len(run.plan.sites) * run.plan.width
    most = max(1, min(run.options.evaluation_rows, HELD_OUT_BYTES // row_bytes))
    with rows.open_first(HELD_OUT_SPLIT, most, row_bytes=row_bytes) as stream:
        return hold_out(stream, max_rows=most)
