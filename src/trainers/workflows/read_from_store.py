"""Train a dictionary on the rows of a store, read or computed, or only stream them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from actstore import Progress, Silent, StreamReport, errors
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder
from trainers.score.evaluate import Score, evaluate
from trainers.workflows.options import RunOptions, choose_device
from trainers.workflows.results import StreamingResult, TrainingResult
from trainers.workflows.rows import open_rows
from trainers.workflows.train_run import Finished, Run, run_training

__all__ = ["default_folder", "make_config", "read_from_store", "stream_only"]

HELD_OUT_SPLIT = "valid"

Source = str | os.PathLike[str]


def make_config(options: Mapping[str, Any]) -> TrainConfig:
    """Check options from outside.

    Raises
    ------
    UsageError
        Naming the option, what was given and what is allowed.
    """
    try:
        return TrainConfig.model_validate(dict(options))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}: {fault['msg']}" for fault in error.errors()
        ]
        raise errors.UsageError("; ".join(faults)) from error


def read_from_store(
    source: Source, config: TrainConfig, options: RunOptions | None = None, *, progress: Progress | None = None
) -> TrainingResult:
    """Train a dictionary from a store, evaluate it on held-out rows, and keep it in the folder of the run.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file; a recipe, too, if all rows are computed.
    config
        What to train.
    options
        Where and how.
    progress
        Told how far it is; None tells nobody.

    Raises
    ------
    UsageError
        If the request does not fit the store; nothing was written.
    CheckpointError
        If the folder holds a run and `resume` is not set, or holds another run, or none, and it is.
    TrainingError
        If training cannot go on.
    """
    options = options or RunOptions()
    progress = progress or Silent()
    device = choose_device(options.device)
    if options.out is not None:
        RunFolder(options.out).check(resume=options.resume)
    with open_rows(source, config, options, progress) as rows:
        with rows.open(config.split, device=device) as stream:
            plan = plan_training(config, StreamFacts.of(stream))
            folder = RunFolder(options.out or default_folder(plan))
            folder.check(resume=options.resume)
            run = Run(
                plan=plan,
                origin=describe_origin(rows.origin, stream.sites),
                statistics=rows.statistics(progress),
                folder=folder,
                device=device,
                checkpoint_every=options.checkpoint_every,
                resume=options.resume,
            )
            finished = run_training(run, stream, progress=progress)
            report = stream.report()
        # The held-out split if it is there, whole; else the split of training. The result names it.
        split = HELD_OUT_SPLIT if rows.has_whole(HELD_OUT_SPLIT) else plan.split
        with rows.open(split, device=device, whole=False) as held_out:
            score = evaluate(
                finished.state.dictionary,
                held_out,
                scale_S=finished.state.scale_S,
                max_rows=options.evaluation_rows,
                progress=progress,
            )
        live = rows.finish(progress)
    result = _summarise(run, finished, report, score, split=split)._replace(live=live)
    if finished.rows or not run.folder.result.exists():
        run.folder.write_result(result.document())
    return result


def stream_only(
    source: Source, config: TrainConfig, options: RunOptions | None = None, *, progress: Progress | None = None
) -> StreamingResult:
    """Read batches as training would, without training, and report rates and mixing.

    Parameters are those of `read_from_store`; of `config` only sites, split, batch_rows, seed and steps count.
    """
    options = options or RunOptions()
    progress = progress or Silent()
    with open_rows(source, config, options, progress) as rows:
        with rows.open(config.split) as stream:
            facts = StreamFacts.of(stream)
            batches = facts.batches_per_epoch if config.steps is None else config.steps
            left = batches
            with progress.stage("streaming", total=facts.rows_of(batches), unit="rows") as stage:
                while left:
                    for batch in itertools.islice(stream, left):
                        left -= 1
                        stage.advance(len(batch.row_B))
            report = stream.report()
        live = rows.finish(progress)
    return StreamingResult(
        dictionary="none",
        sites=stream.sites,
        split=config.split,
        batch_rows=config.batch_rows,
        batches=batches,
        rows=report.rows,
        seconds=report.seconds,
        rows_per_s=report.rows_per_s,
        megabytes_per_s=_rate(report.bytes / 1e6, report.seconds),
        wait_share=report.wait_share,
        order=config.order,
        path=report.path,
        mixing=_mixing(report),
        live=live,
    )


def default_folder(plan: TrainPlan) -> Path:
    """Return ``runs/<dictionary>-<sites>-seed<seed>``; more than two sites are named by first, last and number."""
    sites = plan.sites
    named = "-".join(sites) if len(sites) <= 2 else f"{sites[0]}-to-{sites[-1]}-{len(sites)}-sites"
    return Path("runs") / re.sub(r"[^\w.-]", "_", f"{plan.dictionary}-{named}-seed{plan.seed}")


def _summarise(run: Run, finished: Finished, report: StreamReport, score: Score, *, split: str) -> TrainingResult:
    plan, state, seconds = run.plan, finished.state, finished.seconds
    return TrainingResult(
        dictionary=plan.dictionary,
        sites=plan.sites,
        latents=plan.latents,
        k=plan.kept,
        sparsity=plan.sparsity,
        lr=plan.lr,
        seed=plan.seed,
        steps=state.step,
        resumed_from_step=finished.resumed_from_step,
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
        explained_variance=score.explained_variance,
        explained_variance_per_site=score.explained_variance_per_site,
        l0=score.l0,
        dead_fraction=score.dead_fraction,
        evaluated_on=split,
        evaluated_rows=score.rows,
        manifest_sha256=run.origin.manifest_sha256,
        device=str(run.device),
        checkpoint=str(run.folder.newest_checkpoint()),
        out=str(run.folder.path),
    )


def _mixing(report: StreamReport) -> dict[str, float] | None:
    return None if report.mixing is None else report.mixing._asdict()


def _rate(amount: float, seconds: float) -> float:
    return amount / seconds if seconds else 0.0
