"""All learners learn the same rows, and the table has what each of them explains, leaves dead and recovers."""

import json
from pathlib import Path

import pytest
import torch

from actstore.contracts.progress import Silent
from benchmarks.contestants.learners import LEARNERS
from benchmarks.data.site_rows import PartSizes
from benchmarks.peers import natural, planted, table
from benchmarks.recording.report import machine
from tests.conftest import need
from tests.services.peers import obstacle, python_of_peers

MEASURE = """
import json
from actstore.contracts.progress import Silent
from benchmarks.peers import compare, planted
data = planted(rows=5000, width=16, directions=24, active=2)
print(json.dumps(compare([data], seeds=(0, 1), epochs=2, progress=Silent())))
"""


@pytest.mark.slow
def test_scores_of_all_learners() -> None:
    need(obstacle(), "what other libraries learn")
    compared = json.loads(python_of_peers(MEASURE).splitlines()[-1])
    scores = compared["planted"]
    assert scores.keys() == LEARNERS.keys()
    for found in scores.values():
        assert 0 < found["recovered"]["median"] <= 1
        assert 0 <= found["dead"]["least"] <= found["dead"]["most"] <= 1
        assert found["explained_variance"]["most"] < 1
    made = table({"scores": compared, "seeds": 2, "epochs": 2, "machine": machine(), "commit": "abc"})
    assert all(name in made for name in LEARNERS)


def test_a_tenth_of_the_planted_rows_is_held_out() -> None:
    data = planted(rows=500, width=16, directions=24, active=2)
    assert (len(data.train_NX), len(data.held_out_NX)) == (450, 50)
    assert data.direction_FX is not None
    assert data.direction_FX.shape == (24, 16)


def test_natural_rows_are_of_two_blocks_and_of_six(small_fasta: Path, esm2_tiny: Path) -> None:
    sizes = PartSizes(calibration_proteins=2, held_out_rows=500, train_rows=2000)
    blocks = natural(str(small_fasta), str(esm2_tiny), sizes, progress=Silent())
    assert [(data.name, data.sites) for data in blocks] == [("block 3", 1), ("block 5", 1), ("blocks 0 to 5", 6)]
    three, five, six = blocks
    assert torch.equal(six.train_NX.view(-1, 6, 128)[:, 3], three.train_NX)
    assert torch.equal(six.held_out_NX.view(-1, 6, 128)[:, 5], five.held_out_NX)
    assert not torch.equal(three.train_NX, five.train_NX)
