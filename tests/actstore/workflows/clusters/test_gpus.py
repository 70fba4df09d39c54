import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actstore.workflows.clusters import gpus
from actstore.workflows.clusters.gpus import claim_device, visible_gpus, worker_environments


@pytest.fixture(autouse=True)
def _no_claims_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_claims", {})


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


CLAIM = """
import sys
from pathlib import Path
from actstore.workflows.clusters.gpus import claim_device
for _ in sys.stdin:
    print(claim_device("cuda", gpus=["2", "5"], folder=Path(sys.argv[1])), flush=True)
"""


class Claiming:
    """A process that claims a device whenever it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def claim(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def claiming(tmp_path: Path) -> Iterator[list[Claiming]]:
    processes = [Claiming(tmp_path) for _ in range(3)]
    yield processes
    for each in processes:
        each.end()


def test_processes_of_one_machine_claim_different_gpus_and_keep_them_until_they_end(claiming: list[Claiming]) -> None:
    first, second, third = claiming
    assert [first.claim(), second.claim()] == ["cuda:0", "cuda:1"]
    assert third.claim() in {"cuda:0", "cuda:1"}
    assert [second.claim(), first.claim()] == ["cuda:1", "cuda:0"], "a second run on the same workers"
    first.end()
    assert second.claim() == "cuda:1", "though another is free"
    assert third.claim() == "cuda:0"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", ["0", "1"]), ("cuda:1", ["0", "1"]), ("cuda", ["0"])])
def test_where_there_is_nothing_to_choose_nothing_is_claimed(device: str, gpus: list[str], tmp_path: Path) -> None:
    assert claim_device(device, gpus=gpus, folder=tmp_path) == device
    assert not list(tmp_path.iterdir())
