"""What a trainer waits for data: a TopK SAE on one site of the float16 store, as `trainer read-from-store` trains it.

    python -m benchmarks.contestants.trainer FOLDER SCALE SEED

Prints one JSON document.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import torch

from actstore.stream.open import open_stream
from benchmarks.contestants.contract import SCALES, Setting, Workload, site_name
from trainers.fit.config import TrainConfig
from trainers.fit.initialise import start
from trainers.fit.loop import train
from trainers.fit.normalise import describe_inputs
from trainers.fit.plan import StreamFacts, plan_training

__all__ = ["main", "trainer_wait"]

_STEPS: Final = 24


def trainer_wait(setting: Setting) -> dict[str, Any]:
    """Train for 24 steps, with as many latents as features: a step far longer than the stream needs for a batch.

    Returns
    -------
    dict
        wait_share: time in which the consumer waited for bytes, over the whole loop (`StreamReport.wait_share`);
        data_share: time between asking for a batch and having it, gathering and decoding included, over the whole
        loop; step_s: median seconds of a step without that.
    """
    workload = setting.workload
    config = TrainConfig(
        dictionary="topk-sae",
        sites=(site_name(0),),
        k=min(32, workload.width),
        expansion=1,
        steps=_STEPS,
        batch_rows=workload.batch_rows,
        seed=setting.seed,
    )
    with open_stream(
        str(setting.folder / "float16"),
        sites=config.sites,
        batch_rows=config.batch_rows,
        seed=config.seed,
        buffer_bytes=workload.buffer_bytes,
    ) as stream:
        plan = plan_training(config, StreamFacts.of(stream))
        inputs = describe_inputs(plan.sites, stream.manifest.statistics, normalisation=plan.normalisation)
        state = start(plan, inputs, device=torch.device("cpu"))
        steps = list(train(state, stream, plan))
        wait_share = stream.report().wait_share
    return {
        "steps": len(steps),
        "latents": plan.latents,
        "step_s": sorted(step.seconds - step.data_s for step in steps)[len(steps) // 2],
        "wait_share": wait_share,
        "data_share": sum(step.data_s for step in steps) / sum(step.seconds for step in steps),
    }


def main() -> None:
    """Measure and print."""
    folder, scale, seed = sys.argv[1:]
    sizes = SCALES[scale]
    print(json.dumps(trainer_wait(Setting(Path(folder), sizes, Workload.of("one_site", sizes), int(seed)))))


if __name__ == "__main__":
    main()
