"""Stream rows as training would, without training."""

from __future__ import annotations

import itertools
import os

from actstore import Progress, Silent, errors
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, plan_streaming
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import Ranks
from trainers.workflows.results import StreamingResult, describe_streaming
from trainers.workflows.rows import open_rows
from trainers.workflows.rows_plan import plan_rows

__all__ = ["stream_only"]


def stream_only(
    source: str | os.PathLike[str],
    config: TrainConfig,
    options: RunOptions | None = None,
    *,
    progress: Progress | None = None,
) -> StreamingResult:
    """Read batches as training would, without training, and report rates and mixing.

    Parameters are those of `read_from_store`. Of `config`, only sites, split, batch_rows, seeds, order and
    steps matter.
    """
    progress = progress or Silent()
    if (ranks := Ranks.of_environment()).several:
        raise errors.UsageError(
            f"WORLD_SIZE={ranks.size}: a stream is measured in one process; start the trainer without torchrun"
        )
    with open_rows(plan_rows(source, config, options or RunOptions(), device=None), progress) as rows:
        with rows.open() as stream:
            plan = plan_streaming(config, StreamFacts.of(stream))
            left = plan.batches
            with progress.stage("streaming", total=plan.rows, unit="rows") as stage:
                while left:
                    for batch in itertools.islice(stream, left):
                        left -= 1
                        stage.advance(len(batch.row_B))
            report = stream.report()
        live = rows.finish(plan.split, progress)
    return describe_streaming(plan, report, live=live)
