from typing import Any

import numpy as np
import pytest

from actstore import errors
from tests.trainers.in_memory import plan_of, stream_of
from trainers.fit.plan import TrainPlan
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import ALONE, Ranks
from trainers.workflows.training.divided import check_divided

TWO = Ranks(rank=0, size=2, local_size=2)
ONE_PASS, TWO_PASSES = RunOptions(), RunOptions(accumulate=2)


def planned(**options: Any) -> TrainPlan:
    return plan_of(stream_of(np.zeros((64, 1, 8), dtype=np.float32), batch_rows=32), latents=64, **options)


def test_neighbours_in_a_batch_need_it_whole() -> None:
    plan = planned(smoothness_weight=0.1, k=2)
    check_divided(plan, ALONE, ONE_PASS)
    with pytest.raises(errors.UsageError, match=r"--smoothness-weight: .* WORLD_SIZE=2 .* without torchrun, or leave"):
        check_divided(plan, TWO, ONE_PASS)
    with pytest.raises(errors.UsageError, match=r"--accumulate 2 divides each batch; leave out --accumulate, or leave"):
        check_divided(plan, ALONE, TWO_PASSES)


def test_rows_are_dropped_by_their_norm_in_one_process() -> None:
    plan = planned(max_norm_quantile=0.9, k=2)
    check_divided(plan, ALONE, TWO_PASSES)
    with pytest.raises(errors.UsageError, match="--max-norm-quantile: rows are dropped from a whole batch"):
        check_divided(plan, TWO, ONE_PASS)


def test_a_penalty_that_each_batch_sets_anew_needs_one_pass() -> None:
    plan = planned(dictionary="p-annealing-sae")
    check_divided(plan, TWO, ONE_PASS)
    with pytest.raises(errors.UsageError, match="--dictionary p-annealing-sae: its penalty is set anew by each batch"):
        check_divided(plan, ALONE, TWO_PASSES)


@pytest.mark.parametrize("name", ["topk-sae", "batch-topk-sae", "jumprelu-sae", "matryoshka-sae", "gated-sae"])
def test_other_dictionaries_are_trained_on_batches_in_parts(name: str) -> None:
    check_divided(planned(dictionary=name), TWO, TWO_PASSES)
