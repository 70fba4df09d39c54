"""A resolved training run, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.fit.health import Health
from trainers.fit.normalise import SiteMoments
from trainers.fit.plan import TrainPlan
from trainers.fit.rows.transform import transform_of
from trainers.fit.state import TrainState
from trainers.fit.terms.labels import Labels
from trainers.save.latents import LatentCounts
from trainers.save.record import Origin
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.score.evaluate import Evaluation
from trainers.score.held_out import HeldOut
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import ALONE, Ranks
from trainers.workflows.resume import SavedRun

__all__ = ["Finished", "OwnRows", "Run", "suggestion", "worse_than_mean"]


class OwnRows(NamedTuple):
    """What a run reads of a stream that several runs share."""

    columns: tuple[int, ...]
    """Places of its sites on axis S of the shared stream."""
    stream: str
    """Fingerprint of the stream that it would read alone: its checkpoints can be resumed alone."""


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
    own: OwnRows | None = None
    """Its part of a stream that it shares; None if the stream is its own."""
    drawn_NSD: NDArray[np.float32] | None = None
    """Rows drawn from the whole split, for a new run that needs some; None for others."""
    labels: Labels | None = None
    """Labels of residues, for the probe of the plan."""
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

    def evaluation(self, plan: TrainPlan) -> Evaluation:
        """Return an evaluation of the dictionary, without rows yet."""
        return Evaluation(
            self.state.dictionary,
            scale_S=self.state.scale_S,
            written=plan.written,
            transform=transform_of(plan.normalisation),
        )

    def counts(self, evaluation: Evaluation) -> LatentCounts:
        """Return how often and how recently each latent fired."""
        return LatentCounts(evaluation.fired_F, self.state.idle_rows_F)


def suggestion(plan: TrainPlan) -> str:
    """Return what usually helps a run whose dictionary is worse than the mean of the rows."""
    penalty = "" if plan.sparsity is None else f", a smaller --sparsity (now {plan.sparsity:g})"
    return f"Begin again with a lower --lr (now {plan.lr:g}){penalty} or more --steps (now {plan.steps:,})"


def worse_than_mean(run: Run, finished: Finished, explained: float | None) -> str | None:
    """Return what is wrong with a dictionary that reconstructs rows worse than their mean does; None if it does not."""
    if explained is None or explained >= 0:
        return None
    best = finished.health.best
    good = run.folder.last_good_checkpoint(finished.health.last_good_step) if best is not None and best > 0 else None
    kept = f"The last good checkpoint is {good}" if good else "No checkpoint of this run is better"
    return (
        f"{run.folder.path}: after {finished.state.step:,} steps the explained variance on split {run.evaluated_on!r} "
        f"is {explained:.3f}, which is below that of the mean of the rows (0): nothing useful was learned. "
        f"{suggestion(run.plan)}. {kept}"
    )
