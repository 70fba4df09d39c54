import json
from pathlib import Path

import pytest

from benchmarks.contestants.process import run_once
from benchmarks.pages.stream_tables import stream_table
from benchmarks.stream import RATIOS, ratios, run

ASKED_FOR = {
    "one_site_over_zarrs",
    "one_site_over_litdata_blocks",
    "one_site_over_ram_gather",
    "uniform_one_site_over_ram_gather",
    "six_sites_over_ram_gather",
    "one_site_over_reuse",
    "six_sites_over_zarrs",
    "six_sites_over_litdata_blocks",
    "int8_one_site_over_zarrs",
    "mixing_one_site",
    "mixing_six_sites",
}


@pytest.mark.slow
def test_a_small_run_from_end_to_end_without_the_peers(tmp_path: Path) -> None:
    names = ("actstore", "actstore_reuse", "actstore_int8_uniform", "ram_gather", "annbatch")
    results = run(tmp_path, "quick", rounds=2, names=names)
    assert results["ratios"].keys() >= ASKED_FOR
    assert results["ratios"]["one_site_over_ram_gather"] > 0
    assert results["ratios"]["one_site_over_reuse"] > 0
    assert results["ratios"]["one_site_over_zarrs"] is None
    assert all(results["ratios"][f"mixing_{name}"] > 0.7 for name in results["workloads"])
    assert 0 <= results["trainer_wait_share"] < 1
    for workload in results["workloads"].values():
        contestants = workload["contestants"]
        assert "not installed" in contestants["annbatch"]["absent"]
        for name in names[:-1]:
            record = contestants[name]
            assert record["exactly_once"] is record["exactly_once_in_rounds"] is True
            assert len(record["rounds"]) == 2
            assert record["least_rows_per_s"] <= record["rows_per_s"] <= record["most_rows_per_s"]
    machine = {"processor": "some", "cores": 2, "torch": "2", "numpy": "2"}
    table = stream_table({"machine": machine, "commit": "0", **json.loads(json.dumps(results))})
    assert "| **actstore**, `windows`, float16 |" in table
    assert "Absent: annbatch (not installed" in table


def test_a_contestant_that_fails_shows_its_log(stream_rows: Path) -> None:
    with pytest.raises(Exception, match="returned non-zero"), (stream_rows / "log").open("wb") as log:
        run_once(
            ["benchmarks.contestants.worker", "nobody", "one_site", str(stream_rows), "quick", "0", "contest"], log=log
        )
    assert "nobody" in (stream_rows / "log").read_text()


def test_ratios_are_of_medians_and_missing_where_somebody_is() -> None:
    contestants = {
        "actstore": {"rows_per_s": 3.0, "mixing": 0.99},
        "zarrs_plain": {"rows_per_s": 2.0},
        "ram_gather": {"absent": "not installed"},
    }
    found = ratios({name: {"contestants": contestants} for name in ("one_site", "six_sites")}, RATIOS)
    assert found.keys() == RATIOS.keys()
    assert found["one_site_over_zarrs"] == found["six_sites_over_zarrs"] == 1.5
    assert found["one_site_over_ram_gather"] is found["int8_one_site_over_zarrs"] is None
