import os
from pathlib import Path

import pytest

from actstore.workflows import gpus
from actstore.workflows.gpus import claim_device, visible_gpus, worker_environments


@pytest.fixture(autouse=True)
def _no_claims_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_claims", [])


def test_visible_gpus_are_those_of_the_environment_or_else_all(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_gpus({}, devices=tmp_path) == ("0", "1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-8f"}, devices=tmp_path) == ("3", "GPU-8f")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, devices=tmp_path) == ()


@pytest.mark.parametrize(
    ("device", "gpus", "wanted"),
    [
        ("cuda", ["0", "1"], ["0", "1", "0", "1", "0"]),
        ("cuda", ["5", "GPU-8f", "7"], ["5", "GPU-8f", "7", "5", "GPU-8f"]),
        ("cuda", [], [None] * 5),
        ("cuda:1", ["0", "1"], [None] * 5),
        ("cpu", ["0", "1"], [None] * 5),
    ],
)
def test_workers_take_gpus_in_turn(device: str, gpus: list[str], wanted: list[str | None]) -> None:
    environments = worker_environments(5, device=device, gpus=gpus, cores=8, environ={})
    assert [each.get("CUDA_VISIBLE_DEVICES") for each in environments] == wanted


def test_cores_are_shared_out_unless_the_environment_says_otherwise() -> None:
    shared = worker_environments(3, device="cpu", gpus=[], cores=8, environ={"MKL_NUM_THREADS": "7"})
    assert {each["OMP_NUM_THREADS"] for each in shared} == {"2"}
    assert {each["MKL_NUM_THREADS"] for each in shared} == {"7"}
    assert worker_environments(4, device="cpu", gpus=[], cores=2, environ={})[0]["OMP_NUM_THREADS"] == "1"
    # torch takes MKL_NUM_THREADS before OMP_NUM_THREADS, which are both given to workers.
    one = worker_environments(2, device="cpu", gpus=[], cores=8, environ={"OMP_NUM_THREADS": "1"})
    assert {value for each in one for value in each.values()} == {"1"}


def test_processes_of_one_machine_claim_different_gpus(tmp_path: Path) -> None:
    # Locks belong to open files, so one process stands for several.
    claimed = [claim_device("cuda", gpus=["2", "5"], folder=tmp_path) for _ in range(2)]
    assert claimed == ["cuda:0", "cuda:1"]
    assert claim_device("cuda", gpus=["2", "5"], folder=tmp_path) in {"cuda:0", "cuda:1"}


def test_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        claim_device("cuda", gpus=["2", "5"], folder=tmp_path)
        os._exit(0)
    os.waitpid(pid, 0)
    assert claim_device("cuda", gpus=["2", "5"], folder=tmp_path) == "cuda:0"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", ["0", "1"]), ("cuda:1", ["0", "1"]), ("cuda", ["0"])])
def test_where_there_is_nothing_to_choose_nothing_is_claimed(device: str, gpus: list[str], tmp_path: Path) -> None:
    assert claim_device(device, gpus=gpus, folder=tmp_path) == device
    assert not list(tmp_path.iterdir())
