import json
import shutil
import statistics
from pathlib import Path

import pytest

from benchmarks.recording.report import RESULTS
from benchmarks.tables import DOCUMENTS, TABLES, fidelity_table, render

MACHINE = {"processor": "some", "cores": 2, "torch": "2.13", "numpy": "2.4"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_in_step_with_the_results(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert render(text, RESULTS) == text, "run 'python -m benchmarks.tables'"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_in_its_document_and_nowhere_else(name: str) -> None:
    marker = f"<!-- benchmarks:{name} -->\n"
    places = [document for document in DOCUMENTS if marker in document.read_text(encoding="utf-8")]
    assert places == [TABLES[name].document]


def test_a_changed_result_makes_its_document_stale(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    results = json.loads((copied / "s3_stream.json").read_text())
    results["cases"]["float16"]["ratio"] = 0.111
    (copied / "s3_stream.json").write_text(json.dumps(results))
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert "0.11 (" not in text
        assert "0.11 (" in render(text, copied)


def test_the_summary_has_a_line_for_each_claim() -> None:
    lines = [line for line in TABLES["summary"].body(RESULTS).splitlines() if line.startswith("| ")][2:]
    assert 6 <= len(lines) <= 8
    assert all(", commit " in line for line in lines)


def test_a_ratio_of_the_summary_is_the_median_of_the_rounds() -> None:
    contestants = json.loads((RESULTS / "stream.json").read_text())["workloads"]["one_site"]["contestants"]
    ratios = sorted(
        ours["rows_per_s"] / theirs["rows_per_s"]
        for ours, theirs in zip(contestants["actstore"]["rounds"], contestants["ram_gather"]["rounds"], strict=True)
    )
    wanted = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    assert f"over a gather from RAM | {wanted} |" in TABLES["summary"].body(RESULTS)


def test_results_with_uncommitted_changes_become_no_table(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(RESULTS, tmp_path / "results"))
    results = json.loads((copied / "scale.json").read_text())
    (copied / "scale.json").write_text(json.dumps(results | {"commit": "0123456-dirty"}))
    with pytest.raises(ValueError, match=r"scale\.json: measured at 0123456-dirty"):
        TABLES["scale"].body(copied)


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
