"""Runs are found by their folders, and compared."""

import json
from pathlib import Path

import pytest

from actstore import errors
from tests.trainers.report.runs import NO_RESULT, run_at
from trainers.fit.config import TrainConfig
from trainers.workflows.report import read_runs, report_document, write_report
from trainers.workflows.sweeps.folder import SweepFolder, SweepRecord


def sweep_at(path: Path) -> Path:
    run_at(path / "k2", k=2)
    run_at(path / "k4", NO_RESULT)
    members = {name: TrainConfig(k=k) for name, k in (("k4", 4), ("k2", 2), ("k8", 8))}
    SweepFolder(path).write_record(
        SweepRecord(source="/data/store", manifest_sha256="0" * 64, members=members, options={})
    )
    return path


def test_a_sweep_stands_for_its_members_begun_or_not(tmp_path: Path) -> None:
    runs = read_runs([sweep_at(tmp_path / "sweep")])
    assert [(run.name, run.state) for run in runs] == [
        ("k4", "0 of 10 steps"),
        ("k2", "finished"),
        ("k8", "not begun"),
    ]


def test_runs_and_sweeps_have_names_that_differ(tmp_path: Path) -> None:
    sweep_at(tmp_path / "sweep")
    folders = [tmp_path / "a/sae", tmp_path / "b/sae", tmp_path / "sae2"]
    for folder in folders:
        run_at(folder)
    names = [run.name for run in read_runs([tmp_path / "sweep", *folders, folders[2]])]
    assert names == ["sweep/k4", "sweep/k2", "sweep/k8", str(folders[0]), str(folders[1]), "sae2"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match=r"has no run\.json and no sweep\.json; give folders of runs"):
        read_runs([tmp_path])
    with pytest.raises(errors.CheckpointError, match="is no folder; give folders of runs"):
        read_runs([tmp_path / "nowhere"])


def test_the_document_is_json_with_every_number(tmp_path: Path) -> None:
    runs = read_runs([sweep_at(tmp_path / "sweep"), run_at(tmp_path / "other", store="1" * 64).path])
    document = json.loads(json.dumps(report_document(runs), allow_nan=False))
    assert [run["state"] for run in document["runs"]] == ["0 of 10 steps", "finished", "not begun", "finished"]
    assert document["runs"][1]["result"]["explained_variance"] == 0.9
    assert document["front"] == ["sweep/k2", "other"]
    assert document["different"]["k"] == [4, 2, 8, 4]
    assert "The runs read 2 stores" in document["remarks"][0]


def test_a_page_is_written_or_refused(tmp_path: Path) -> None:
    runs = read_runs([sweep_at(tmp_path / "sweep")])
    write_report(runs, tmp_path / "report.html")
    assert "<title>3 runs</title>" in (tmp_path / "report.html").read_text("utf-8")
    write_report(runs[:1], tmp_path / "report.html")
    assert "<title>k4</title>" in (tmp_path / "report.html").read_text("utf-8")
    with pytest.raises(errors.UsageError, match="there is no folder"):
        write_report(runs, tmp_path / "none/report.html")
