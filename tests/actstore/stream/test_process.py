"""Which process of a training run this is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from actstore.errors import StreamError
from actstore.stream.process import take_seat
from actstore.stream.seats import Seat

SCRIPT = """
import os, sys
import torch.distributed
from actstore import Seat, open_stream
store, out = sys.argv[1:]
rank = os.environ["RANK"]
def show(stream, name):
    with open(f"{out}/{name}-{rank}", "w") as file:
        print(stream.report().process, *(row for batch in stream for row in batch.row_B), sep="\\n", file=file)
with open_stream(store, batch_rows=128) as stream:
    show(stream, "launched")
with open_stream(store, batch_rows=128, seat=Seat(0, 1)) as stream:
    show(stream, "alone")
torch.distributed.init_process_group("gloo")
os.environ["RANK"] = os.environ["WORLD_SIZE"] = "spoilt"
with open_stream(store, batch_rows=128) as stream:
    show(stream, "grouped")
torch.distributed.destroy_process_group()
"""


def test_what_is_given_takes_precedence() -> None:
    taken = take_seat(Seat(2, 5), environment={"RANK": "1", "WORLD_SIZE": "4"})
    assert (taken.seat, str(taken)) == (Seat(2, 5), "process 2 of 5 (seat)")


def test_without_a_launcher_there_is_one_process() -> None:
    taken = take_seat(environment={"HOME": "/"})
    assert (taken.seat, str(taken)) == (Seat(0, 1), "one process")


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "1"},
        {"WORLD_SIZE": "4"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "-1", "WORLD_SIZE": "4"},
        {"RANK": "", "WORLD_SIZE": "4"},
        {"RANK": "0", "WORLD_SIZE": "1.5"},
    ],
    ids=str,
)
def test_an_environment_that_does_not_say_it_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(StreamError, match=r"the environment has .*set both RANK and WORLD_SIZE .*seat=Seat\(rank"):
        take_seat(environment=environment)


@pytest.mark.slow
def test_processes_of_torchrun_share_an_epoch_without_being_told(store_of: Callable[..., Path], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, script, store_of(), tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, source in (("launched", "RANK, WORLD_SIZE"), ("grouped", "process group")):
        first, second = ((tmp_path / f"{name}-{rank}").read_text().splitlines() for rank in (0, 1))
        assert [first[0], second[0]] == [f"process {rank} of 2 ({source})" for rank in (0, 1)]
        assert len(first) > 1000
        assert abs(len(first) - len(second)) <= 1
        assert not set(first[1:]) & set(second[1:])
    whole, again = ((tmp_path / f"alone-{rank}").read_text().splitlines() for rank in (0, 1))
    assert whole == again
    assert set(whole[1:]) == set(first[1:]) | set(second[1:])
    assert torch.distributed.is_available()
