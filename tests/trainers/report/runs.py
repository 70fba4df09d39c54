"""Folders of runs as training leaves them, made without training."""

import json
from pathlib import Path
from typing import Any

import torch

from tests.trainers.in_memory import origin_of, plan_of, state_of, stream_of
from tests.trainers.planted import plant
from trainers.fit.config import TrainConfig
from trainers.save.checkpoint import write_checkpoint
from trainers.save.latents import LatentCounts
from trainers.save.run_folder import RunFolder, RunRecord

__all__ = ["NO_RESULT", "run_at"]

NO_RESULT: dict[str, Any] = {}


def run_at(
    path: Path,
    result: dict[str, Any] | None = None,
    *,
    fired: list[int] | None = None,
    store: str = "0" * 64,
    steps: int = 10,
    **options: Any,
) -> RunFolder:
    """A run with its metrics, finished unless `result` is empty."""
    stream = stream_of(plant(rows=2560).values_NSD, batch_rows=256)
    options = {"latents": 8, "k": 4} | options
    plan = plan_of(stream, steps=10, **options)
    state = state_of(stream, plan)
    state.step, state.rows = 0, 0
    folder = RunFolder(path)
    config = TrainConfig.model_validate({"sites": stream.sites, "steps": 10} | options)
    folder.begin(RunRecord(source="/data/store", config=config, options={}))
    origin = origin_of(stream).model_copy(update={"manifest_sha256": store})
    write_checkpoint(folder.checkpoints, state, plan=plan, origin=origin, cursor=stream.cursor)
    lines = [
        {"step": step, "rows": 256 * step, "batch_explained_variance": 1 - 1 / step, "batch_l0": 4.0, "dead": 8 - step}
        | ({"explained_variance": 0.9 - 1 / step} if step % 4 == 0 else {})
        for step in range(1, 1 + min(steps, 8))
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    if result != NO_RESULT:
        whole = {
            "explained_variance": 0.9,
            "explained_variance_per_site": {"resid_post.0": 0.9},
            "l0": 4.0,
            "dead_fraction": 0.25,
            "silent_fraction": 0.5,
            "evaluated_on": "valid",
            "evaluated_rows": 1000,
            "dead_after_rows": 2560,
            "rows_per_s": 1.0,
        }
        counts = LatentCounts(
            torch.tensor(fired or [0, 0, 0, 0, 1, 10, 100, 1000]), torch.tensor([9999, 9999, 0, 0, 0, 0, 0, 0])
        )
        folder.write_result(whole | (result or {}), counts)
    return folder
