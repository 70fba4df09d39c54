import pytest
import torch

from actstore import Seat, errors
from trainers.fit.config import TrainConfig, make_config
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import Ranks
from trainers.workflows.rows_plan import plan_rows


@pytest.mark.parametrize(
    ("device", "order", "buffer_on"),
    [("cuda:1", "windows", "cuda:1"), ("cuda:1", "uniform", None), ("cpu", "windows", None)],
)
def test_the_buffer_is_on_the_gpu_that_trains(device: str, order: str, buffer_on: str | None) -> None:
    """Unless the order is one without a buffer."""
    config = make_config({"order": order})
    request = plan_rows("store", config, RunOptions(), device=torch.device(device)).request
    assert (request.device, request.order) == (buffer_on, order)


def test_rows_that_are_read_need_no_device_for_the_model() -> None:
    assert plan_rows("store", TrainConfig(), RunOptions(model_device="cuda:99"), device=None).live is None
    with pytest.raises(errors.UsageError, match="cuda:99"):
        plan_rows("store", TrainConfig(), RunOptions(model_device="cuda:99", live="online"), device=None)


def test_missing_rows_are_either_computed_or_left_out() -> None:
    both = RunOptions(live="compute", allow_incomplete=True)
    with pytest.raises(errors.UsageError, match="either computed or left out"):
        plan_rows("store", TrainConfig(), both, device=None)


def test_each_of_several_processes_reads_its_seat() -> None:
    ranks = Ranks(rank=1, size=2, local_rank=1, local_size=2)
    config = make_config({"batch_rows": 512})
    request = plan_rows("store", config, RunOptions(accumulate=2), device=torch.device("cpu"), ranks=ranks).request
    assert (request.batch_rows, request.seat) == (256, Seat(1, 2))
    with pytest.raises(errors.UsageError, match="give a multiple of 6"):
        plan_rows("store", config, RunOptions(accumulate=3), device=torch.device("cpu"), ranks=ranks)


def test_several_processes_compute_no_rows() -> None:
    ranks = Ranks(rank=0, size=2, local_size=2)
    with pytest.raises(errors.UsageError, match=r"WORLD_SIZE=2.*extract the store first"):
        plan_rows("store", TrainConfig(), RunOptions(live="online"), device=torch.device("cpu"), ranks=ranks)
