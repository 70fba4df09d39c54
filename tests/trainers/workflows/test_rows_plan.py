import pytest
import torch

from actstore import errors
from trainers.fit.config import TrainConfig, make_config
from trainers.workflows.options import RunOptions
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


def test_one_of_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun each would train the whole run and write to one folder."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(errors.UsageError, match=r"WORLD_SIZE=2: a trainer runs in one process.*without torchrun"):
        plan_rows("store", TrainConfig(), RunOptions(), device=torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "1")
    plan_rows("store", TrainConfig(), RunOptions(), device=torch.device("cpu"))
