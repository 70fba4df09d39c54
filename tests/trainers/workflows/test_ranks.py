import sys

import pytest
import torch

from actstore import Seat, errors
from trainers.workflows import ranks as module
from trainers.workflows.ranks import ALONE, Ranks, joined

TWO = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_torchrun_says_which_process_this_is() -> None:
    assert Ranks.of_environment({}) == ALONE
    assert Ranks.of_environment({"WORLD_SIZE": "1"}) == ALONE
    ranks = Ranks.of_environment(TWO)
    assert (ranks.rank, ranks.size, ranks.several, ranks.first, ranks.seat) == (1, 2, True, False, Seat(1, 2))


@pytest.mark.parametrize("wrong", [{"RANK": "2"}, {"RANK": "first"}, {"LOCAL_WORLD_SIZE": "3"}, {"LOCAL_RANK": None}])
def test_variables_that_do_not_belong_together_are_refused(wrong: dict[str, str | None]) -> None:
    environment = {name: value for name, value in (TWO | wrong).items() if value is not None}
    with pytest.raises(errors.UsageError, match=r"WORLD_SIZE=2.*start the trainer with torchrun"):
        Ranks.of_environment(environment)


def test_a_batch_is_divided_evenly_among_processes_and_passes() -> None:
    two = Ranks(rank=0, size=2, local_size=2)
    assert two.rows_of_rank(512, parts=4) == 256
    assert ALONE.rows_of_rank(511, parts=1) == 511
    with pytest.raises(errors.UsageError, match=r"among --accumulate 2 passes; give a multiple of 2, such as 512"):
        ALONE.rows_of_rank(511, parts=2)
    with pytest.raises(errors.UsageError, match=r"2 processes x --accumulate 3; give a multiple of 6, such as 510"):
        two.rows_of_rank(512, parts=3)
    with pytest.raises(errors.UsageError, match="give a multiple of 2, such as 2"):
        two.rows_of_rank(1, parts=1)


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ranks = Ranks(rank=5, size=8, local_rank=1, local_size=2)
    assert ranks.device("cuda") == torch.device("cuda:1")
    assert ranks.device("cpu") == torch.device("cpu")
    assert ALONE.device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(errors.UsageError, match="give --device cuda, and choose GPUs with CUDA_VISIBLE_DEVICES"):
        ranks.device("cuda:1")
    with pytest.raises(errors.UsageError, match=r"4 processes on this machine, and 2 CUDA devices.*nproc-per-node 2"):
        Ranks(rank=3, size=4, local_rank=3, local_size=4).device("cuda")


def test_without_fabric_several_processes_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with (
        pytest.raises(errors.UsageError, match=r"pip install 'actstore\[devices\]'"),
        joined(Ranks(rank=0, size=2, local_size=2), torch.device("cpu")),
    ):
        pass


def test_one_process_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with joined(ALONE, torch.device("cpu")):
        assert not torch.distributed.is_initialized()
