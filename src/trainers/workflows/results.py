"""Reports of the workflows, as they appear in `--json` and `result.json`."""

from __future__ import annotations

from typing import Any, NamedTuple

from actstore import StreamReport
from trainers.fit.dead import count_dead
from trainers.fit.plan import StreamingPlan
from trainers.score.evaluate import Score
from trainers.workflows.training.run import Finished, Run

__all__ = ["StreamingResult", "TrainingResult", "describe_streaming", "describe_training"]


class StreamingResult(NamedTuple):
    """Report of streaming without training."""

    dictionary: str
    """`none`."""
    sites: tuple[str, ...]
    split: str
    batch_rows: int
    batches: int
    rows: int
    seconds: float
    rows_per_s: float
    megabytes_per_s: float
    """Encoded bytes, in units of 10^6."""
    wait_share: float
    """Share of the time in which the stream waited for bytes."""
    order: str
    path: str
    """How the stream held its rows: in memory maps (`mapped`), in buffers (`buffered`), on a `device`."""
    mixing: dict[str, float] | None
    """How well batches were mixed, compared with a uniform shuffle; None without a full batch."""
    live: dict[str, Any] | None = None
    """What the model computed, and whether the store is now complete; None if all rows were to be read."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()


class TrainingResult(NamedTuple):
    """Report of a finished training run."""

    dictionary: str
    sites: tuple[str, ...]
    latents: int
    k: int | None
    sparsity: float | None
    lr: float
    seed: int
    steps: int
    resumed_from_step: int | None
    batch_rows: int
    rows: int
    """Rows trained on, in all parts of a resumed run."""
    seconds: float
    """Time of streaming and training in this process; the rates below refer to it."""
    rows_per_s: float
    megabytes_per_s: float
    """Encoded bytes, in units of 10^6."""
    wait_share: float
    """Share of the time in which the stream waited for bytes."""
    data_share: float
    """Share of `seconds` in which a batch was being made: waiting, gathering and decoding."""
    order: str
    path: str
    """How the stream held its rows: in memory maps (`mapped`), in buffers (`buffered`), on a `device`."""
    mixing: dict[str, float] | None
    """How well batches were mixed, compared with a uniform shuffle; None without a full batch."""
    dead_fraction: float | None
    """Share of latents that fired on none of the last `dead_after_rows` rows of training; None after fewer rows."""
    dead_after_rows: int
    dropped_rows: int
    """Rows that were left out of training because they are too long (`max_norm_quantile`)."""
    evaluated_on: str
    """Split of the rows behind the four numbers below: held-out rows, if the store has them."""
    evaluated_rows: int
    explained_variance: float | None
    """1 - squared error / squared deviation of the rows from their mean, both summed over rows and sites in scaled
    units, with a transform of each row undone."""
    explained_variance_per_site: dict[str, float | None]
    l0: float
    silent_fraction: float
    """Share of latents active on none of the evaluated rows."""
    manifest_sha256: str
    device: str
    checkpoint: str
    """Folder of the trained dictionary."""
    out: str
    live: dict[str, Any] | None = None
    """What the model computed, and whether the store is now complete; None if all rows were to be read."""

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return self._asdict()


def describe_streaming(plan: StreamingPlan, report: StreamReport, *, live: dict[str, Any] | None) -> StreamingResult:
    """Return the report of streaming without training.

    Parameters
    ----------
    plan
        What was streamed.
    report
        What the stream measured.
    live
        What the model computed; None if all rows were read.
    """
    return StreamingResult(
        dictionary="none",
        sites=plan.sites,
        split=plan.split,
        batch_rows=plan.batch_rows,
        batches=plan.batches,
        rows=report.rows,
        seconds=report.seconds,
        rows_per_s=report.rows_per_s,
        megabytes_per_s=_rate(report.bytes / 1e6, report.seconds),
        wait_share=report.wait_share,
        order=plan.order,
        path=report.path,
        mixing=_mixing(report),
        live=live,
    )


def describe_training(
    run: Run, finished: Finished, report: StreamReport, score: Score, *, live: dict[str, Any] | None
) -> TrainingResult:
    """Return the report of a training run.

    Parameters
    ----------
    run
        What was trained.
    finished
        The run at its last step.
    report
        What the stream of training measured.
    score
        How good the dictionary is on rows of `run.evaluated_on`.
    live
        What the model computed; None if all rows were read.
    """
    plan, state, seconds = run.plan, finished.state, finished.seconds
    dead = count_dead(state.idle_rows_F, rows=state.rows, dead_after_rows=plan.dead_after_rows)
    return TrainingResult(
        dictionary=plan.dictionary,
        sites=plan.sites,
        latents=plan.latents,
        k=plan.kept,
        sparsity=plan.sparsity,
        lr=plan.lr,
        seed=plan.seed,
        steps=state.step,
        resumed_from_step=run.resumed_from_step,
        batch_rows=plan.batch_rows,
        rows=state.rows,
        seconds=seconds,
        rows_per_s=_rate(finished.rows, seconds),
        megabytes_per_s=_rate(report.bytes / 1e6, seconds),
        wait_share=report.wait_share,
        data_share=_rate(finished.data_s, seconds),
        order=plan.order,
        path=report.path,
        mixing=_mixing(report),
        dead_fraction=None if dead is None else dead / plan.latents,
        dead_after_rows=plan.dead_after_rows,
        dropped_rows=state.dropped_rows,
        evaluated_on=run.evaluated_on,
        evaluated_rows=score.rows,
        explained_variance=score.explained_variance,
        explained_variance_per_site=score.explained_variance_per_site,
        l0=score.l0,
        silent_fraction=score.silent_fraction,
        manifest_sha256=run.origin.manifest_sha256,
        device=str(run.device),
        checkpoint=str(run.folder.newest_checkpoint()),
        out=str(run.folder.path),
        live=live,
    )


def _mixing(report: StreamReport) -> dict[str, float] | None:
    return None if report.mixing is None else report.mixing._asdict()


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds if seconds else 0.0
