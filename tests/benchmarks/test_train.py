"""Steps of all contestants take turns, and the table says what each takes in units of ours."""

import json

import pytest

from actstore.contracts.progress import Silent
from benchmarks.contestants.learners import Sizes
from benchmarks.recording.report import machine
from benchmarks.train import TITLES, measure_from_store, table
from tests.conftest import need
from tests.services.peers import obstacle, python_of_peers

FEW = {
    "one site": Sizes(sites=1, width=16, latents=32, k=4, batch_rows=64, steps=10),
    "six sites": Sizes(sites=6, width=4, latents=32, k=4, batch_rows=64, steps=10),
}
MEASURE = """
import json
from actstore.contracts.progress import Silent
from benchmarks.train import measure
from tests.benchmarks.test_train import FEW
print(json.dumps(measure(FEW, rounds=2, progress=Silent())))
"""


@pytest.mark.slow
def test_every_contestant_is_measured_in_units_of_ours() -> None:
    need(obstacle(), "steps of other libraries")
    results = json.loads(python_of_peers(MEASURE).splitlines()[-1])
    for found in results.values():
        assert found["step_s"].keys() == TITLES.keys()
        assert found["ratios"]["actstore over actstore"] == {"median": 1.0, "least": 1.0, "most": 1.0}
    results["from a store"] = {"steps": 4, "data_share": 0.01, "wait_share": 0.002}
    made = table(results | {"machine": machine(), "commit": "abc"})
    assert all(title in made for title in TITLES.values())
    assert "of its encode product" in made
    assert "1.0 % of the time went to making batches, 0.2 % to waiting for bytes" in made


def test_a_run_from_a_store_says_what_its_rows_took() -> None:
    found = measure_from_store(FEW["one site"], steps=4, progress=Silent())
    assert found["steps"] == 4
    assert 0 <= found["wait_share"] <= found["data_share"] < 1
