"""Steps of all contestants take turns, and the table says what each takes in units of ours."""

from actstore.contracts.progress import Silent
from benchmarks.contestants.learners import Sizes
from benchmarks.recording.report import machine
from benchmarks.train import TITLES, measure, measure_from_store, table

FEW = {
    "one site": Sizes(sites=1, width=16, latents=32, k=4, batch_rows=64, steps=10),
    "six sites": Sizes(sites=6, width=4, latents=32, k=4, batch_rows=64, steps=10),
}


def test_every_contestant_is_measured_in_units_of_ours() -> None:
    results = measure(FEW, rounds=2, progress=Silent())
    for found in results.values():
        assert found["step_s"].keys() == TITLES.keys()
        assert found["ratios"]["actstore over actstore"] == {"median": 1.0, "least": 1.0, "most": 1.0}
    results["from a store"] = measure_from_store(FEW["one site"], steps=4, progress=Silent())
    assert 0 <= results["from a store"]["wait_share"] <= results["from a store"]["data_share"] < 1
    made = table(results | {"machine": machine(), "commit": "abc"})
    assert all(title in made for title in TITLES.values())
    assert "of its encode product" in made
