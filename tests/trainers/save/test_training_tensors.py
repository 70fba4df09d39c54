"""What training needs beside the dictionary comes back to the bit, with each option that has something of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actstore import errors
from actstore.testing.memory_stream import MemoryStream
from tests.trainers.fit.terms.labelled import labels_of, placed_stream
from tests.trainers.in_memory import CPU, origin_of, plan_of, state_of
from tests.trainers.planted import Planted
from trainers.fit.initialise import trained_parameters
from trainers.fit.loop import train
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.save.checkpoint import checkpoint_bytes, read_checkpoint, resume_state, write_checkpoint

OPTIONS: dict[str, Any] = {"latents": 64, "steps": 12, "dead_after_rows": 600}
FURTHER: dict[str, dict[str, Any]] = {
    "decorrelation": {"decorrelation_weight": 0.1},
    "smoothness": {"smoothness_weight": 0.3},
    "probe": {"probe_weight": 0.3},
    "none": {"normalisation": "none"},
    "row-zscore": {"normalisation": "row-zscore"},
    "row-norm": {"normalisation": "row-norm"},
    "quantile": {"max_norm_quantile": 0.9},
    "geometric-median": {"b_dec_start": "geometric-median"},
}


def run_until(stream: MemoryStream, state: TrainState, plan: TrainPlan, step: int) -> None:
    for _ in train(state, stream, plan):
        if state.step == step:
            return


@pytest.mark.parametrize("name", FURTHER)
def test_a_resumed_run_with_each_further_option_equals_an_uninterrupted_one_to_the_bit(
    name: str, three_sites: Planted, tmp_path: Path
) -> None:
    options = OPTIONS | FURTHER[name] | {"dictionary": "crosscoder-topk"}
    labels = labels_of(np.arange(1500) % 3.0 // 2, np.sin(np.arange(1500.0))) if name == "probe" else None

    def stream() -> MemoryStream:
        return placed_stream(three_sites.values_NSD[:1500], batch_rows=256)

    first = stream()
    plan = plan_of(first, labels, **options)
    whole = state_of(first, plan, labels)
    run_until(first, whole, plan, plan.steps)

    second = stream()
    half = state_of(second, plan, labels)
    run_until(second, half, plan, 5)
    path = write_checkpoint(tmp_path, half, plan=plan, origin=origin_of(second), cursor=second.cursor)
    checkpoint = read_checkpoint(path)
    assert sum(file.stat().st_size for file in path.iterdir()) <= checkpoint_bytes(plan)
    third = stream()
    third.seek(checkpoint.cursor)
    resumed = resume_state(checkpoint, plan=plan, origin=origin_of(third), device=CPU, labels=labels)
    run_until(third, resumed, plan, plan.steps)

    assert (resumed.rows, resumed.dropped_rows) == (whole.rows, whole.dropped_rows)
    assert (resumed.dropped_rows > 0) == (name == "quantile")
    assert torch.equal(resumed.idle_rows_F, whole.idle_rows_F)
    have, want = (trained_parameters(state.dictionary, state.probe) for state in (resumed, whole))
    for parameter in want:
        assert torch.equal(have[parameter][0], want[parameter][0])
        for part, moment in whole.optimizer.state[want[parameter][0]].items():
            assert torch.equal(resumed.optimizer.state[have[parameter][0]][part], moment)


def test_other_labels_are_refused(three_sites: Planted, tmp_path: Path) -> None:
    stream = placed_stream(three_sites.values_NSD[:1500], batch_rows=256)
    options = OPTIONS | {"dictionary": "crosscoder-topk", "probe_weight": 0.3}
    labels, others = labels_of(np.arange(1500) % 2.0), labels_of(np.arange(1500) % 3.0 // 2)
    plan = plan_of(stream, labels, **options)
    state = state_of(stream, plan, labels)
    path = write_checkpoint(tmp_path, state, plan=plan, origin=origin_of(stream), cursor=stream.cursor)
    other = plan_of(stream, others, **options)
    with pytest.raises(errors.CheckpointError, match="labels: "):
        resume_state(read_checkpoint(path), plan=other, origin=origin_of(stream), device=CPU, labels=others)
