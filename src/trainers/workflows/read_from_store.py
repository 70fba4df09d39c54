"""Train a dictionary from a store, or only stream from it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from actstore import Manifest, Progress, Silent, Stream, StreamReport, errors, open_manifest, open_stream
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.save.record import describe_origin
from trainers.save.run_folder import RunFolder
from trainers.score.evaluate import Score, evaluate
from trainers.workflows.options import RunOptions, choose_device
from trainers.workflows.results import StreamingResult, TrainingResult
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
        Path or URL of a store, or an exported manifest file.
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
    manifest = open_manifest(source, storage_options=options.storage_options)
    with _open(manifest, config, options, split=config.split, device=device) as stream:
        plan = plan_training(config, StreamFacts.of(stream))
        run = Run(
            plan=plan,
            origin=describe_origin(manifest, stream.sites),
            statistics=manifest.statistics,
            folder=RunFolder(options.out or default_folder(plan)),
            device=device,
            checkpoint_every=options.checkpoint_every,
            resume=options.resume,
        )
        finished = run_training(run, stream, progress=progress)
        report = stream.report()
    split = _evaluation_split(manifest, plan)
    with _open(manifest, config, options, split=split, device=device) as held_out:
        score = evaluate(
            finished.state.dictionary,
            held_out,
            scale_S=finished.state.scale_S,
            max_rows=options.evaluation_rows,
            progress=progress,
        )
    result = _summarise(run, finished, report, score, split=split)
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
    manifest = open_manifest(source, storage_options=options.storage_options)
    with _open(manifest, config, options, split=config.split) as stream:
        facts = StreamFacts.of(stream)
        batches = facts.batches_per_epoch if config.steps is None else config.steps
        left = batches
        with (progress or Silent()).stage("streaming", total=facts.rows_of(batches), unit="rows") as stage:
            while left:
                for batch in itertools.islice(stream, left):
                    left -= 1
                    stage.advance(len(batch.row_B))
        report = stream.report()
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
    )


def default_folder(plan: TrainPlan) -> Path:
    """Return ``runs/<dictionary>-<sites>-seed<seed>``; more than two sites are named by first, last and number."""
    sites = plan.sites
    named = "-".join(sites) if len(sites) <= 2 else f"{sites[0]}-to-{sites[-1]}-{len(sites)}-sites"
    return Path("runs") / re.sub(r"[^\w.-]", "_", f"{plan.dictionary}-{named}-seed{plan.seed}")


def _open(
    manifest: Manifest, config: TrainConfig, options: RunOptions, *, split: str, device: torch.device | None = None
) -> Stream:
    # On a GPU the buffer is there too, unless the order is one that has no buffer.
    on_device = device is not None and device.type == "cuda" and config.order == "windows"
    return open_stream(
        manifest,
        sites=config.sites,
        batch_rows=config.batch_rows,
        seed=config.seed,
        split=split,
        buffer_bytes=options.buffer_bytes,
        order=config.order,
        device=str(device) if on_device else None,
        allow_incomplete=options.allow_incomplete,
        storage_options=options.storage_options,
        cache=options.cache,
        cache_bytes=options.cache_bytes,
    )


def _evaluation_split(manifest: Manifest, plan: TrainPlan) -> str:
    """Return the held-out split if it is there, whole; else the split of training. The result names it."""
    held_out = manifest.splits.get(HELD_OUT_SPLIT)
    return HELD_OUT_SPLIT if held_out is not None and held_out.rows and manifest.complete else plan.split


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
