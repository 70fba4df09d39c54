import json
from pathlib import Path

import pytest

from benchmarks.report import RESULTS
from benchmarks.tables import README, TABLES, fidelity_table, render, s3_stream_table

MACHINE = {"processor": "some", "cores": 2, "torch": "2.13", "numpy": "2.4"}


def test_the_readme_is_in_step_with_the_results() -> None:
    text = README.read_text()
    assert render(text, RESULTS) == text, "run 'python -m benchmarks.tables'"


def test_the_readme_has_every_table() -> None:
    text = README.read_text()
    assert all(f"<!-- benchmarks:{name} -->\n" in text for name in TABLES)


def test_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    text = "before\n<!-- benchmarks:fidelity -->\nold\n<!-- /benchmarks:fidelity -->\nafter\n"
    rendered = render(text, tmp_path)
    assert rendered.startswith("before\n<!-- benchmarks:fidelity -->\nNot measured yet")
    assert rendered.endswith("<!-- /benchmarks:fidelity -->\nafter\n")
    assert render(rendered, tmp_path) == rendered


def test_a_table_that_nobody_makes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no table 'other'"):
        render("<!-- benchmarks:other -->\n<!-- /benchmarks:other -->", tmp_path)


def test_fidelity_shows_the_least_median_of_the_sites_of_the_model(tmp_path: Path) -> None:
    def noise(data: str, encoding: str, median: float | None, worst: float) -> dict[str, object]:
        return {"data": data, "encoding": encoding, "median_db": median, "worst_db": worst, "bits_per_value": 8.0156}

    results = {
        "machine": MACHINE,
        "commit": "0",
        "noise": [
            noise("outliers", "int8", 41.26, 39.0),
            noise("natural", "int8", 43, 41),
            noise("natural", "int8", 42, 40),
        ],
        "explained_variance": [{"data": "natural", "encoding": "int8", "loss": -0.00042}],
    }
    (tmp_path / "fidelity.json").write_text(json.dumps(results))
    assert "| int8 | 8.02 | 41.3 | 39.0 | 42.0 | 40.0 | -0.0004 |" in fidelity_table(results)
    assert "| int8 |" in render("<!-- benchmarks:fidelity -->\n<!-- /benchmarks:fidelity -->", tmp_path)


def test_s3_cases_are_shown_with_their_ratio() -> None:
    def who(rate: float) -> dict[str, float]:
        return {"bytes_per_s": rate, "client_cpu_s_per_gb": 1.0}

    case = {
        "store": "int8_zstd", "sites": 2, "latency_s": 0.02, "bytes": 2**30, "requests": 2**10,
        "ratio": 0.87, "least_ratio": 0.8, "most_ratio": 0.9,
        "stream": who(87e6), "plain": who(100e6), "larger": who(200e6),
    }  # fmt: skip
    table = s3_stream_table({"machine": MACHINE, "commit": "0", "rounds": 5, "cases": {"one": case}})
    assert "| int8, zstd, 2 sites, 20 ms away | 1024 KiB | 87 | 100 | 0.87 (0.80 to 0.90) | 200 | 1.0 / 1.0 |" in table
