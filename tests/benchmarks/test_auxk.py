"""AuxK on and off, under each normalisation."""

from actstore.contracts.progress import Silent
from benchmarks.auxk import revive, table
from benchmarks.peers import planted
from benchmarks.recording.report import machine


def test_auxk_is_left_out_under_each_normalisation() -> None:
    rows = planted(rows=5000, width=16, directions=24, active=2)
    two_sites = rows._replace(sites=2, direction_FX=None)
    records = revive([rows, two_sites], seeds=(0,), epochs=2, progress=Silent())
    found = [(record["sites"], record["normalisation"], record["auxk"]) for record in records]
    assert found == [(s, n, a) for s in (1, 2) for n in ("unit", "sqrt_d", "none") for a in (True, False)]
    made = table({"auxk": records, "seeds": 1, "epochs": 2, "machine": machine(), "commit": "abc"})
    assert made.count("| sqrt_d |") == 4
