from dataclasses import replace
from pathlib import Path

import pytest
import torch

from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted
from tests.trainers.workflows.training.test_train_run import execute, run_in
from trainers.workflows.training.run import suggestion, worse_than_mean


@pytest.fixture
def stream(one_site: Planted) -> MemoryStream:
    return stream_of(one_site.values_NSD[:3000], batch_rows=256)


def test_only_a_dictionary_below_the_mean_is_called_useless(stream: MemoryStream, tmp_path: Path) -> None:
    run = run_in(tmp_path, stream)
    finished = execute(run, stream)
    assert worse_than_mean(run, finished, 0.0) is None
    assert worse_than_mean(run, finished, None) is None
    said = worse_than_mean(run, finished, -0.5)
    assert said is not None
    assert "after 12 steps the explained variance on split 'train' is -0.500" in said
    assert said.endswith("No checkpoint of this run is better")
    finished.health.best = 0.9
    better = worse_than_mean(run, finished, -0.5)
    assert better is not None
    assert better.endswith(f"The last good checkpoint is {tmp_path}/checkpoints/step-000000012")


def test_what_helps_depends_on_the_dictionary(stream: MemoryStream) -> None:
    assert "--sparsity" not in suggestion(plan_of(stream, latents=64, k=4))
    assert "a smaller --sparsity (now 0.5)" in suggestion(
        plan_of(stream, dictionary="relu-sae", latents=64, sparsity=0.5)
    )


def test_a_finished_run_counts_how_often_latents_fired(stream: MemoryStream, tmp_path: Path) -> None:
    run = run_in(tmp_path, stream)
    finished = execute(replace(run, plan=plan_of(stream, latents=64, k=4)), stream)
    evaluation = finished.evaluation(run.plan)
    for batch in stream:
        evaluation.add(torch.as_tensor(batch.values_BSD))
    counts = finished.counts(evaluation)
    assert int(counts.fired_F.sum()) == 4 * evaluation.score().rows
    assert len(counts.idle_rows_F) == 64
