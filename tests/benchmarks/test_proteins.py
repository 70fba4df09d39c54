"""Every way to keep proteins gives the same rows, and the table says how fast each is."""

from actstore.contracts.progress import Silent
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.proteins import CONTESTANTS, measure, table
from benchmarks.recording.report import machine

FEW = SyntheticActivations(rows=2000, sites=1, width=32, proteins=12)


def test_all_contestants_read_the_same_proteins() -> None:
    results = measure(FEW, reads=20, rounds=2, progress=Silent())
    assert results["proteins_per_s"].keys() == CONTESTANTS.keys()
    assert results["ratios"]["actstore_over_actstore"] == {"median": 1.0, "least": 1.0, "most": 1.0}
    made = table(results | {"machine": machine(), "commit": "abc"})
    assert all(title in made for title in CONTESTANTS.values())
    assert "12 proteins, 2,000 rows of 32 features" in made
