"""Compare runs: in a table, and on one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actstore import check_page_file, errors, write_page_file
from trainers.report.compare import common_settings, different_settings, front, remarks
from trainers.report.page import report_page
from trainers.report.reported import ReportedRun, read_run
from trainers.save.run_folder import RunFolder
from trainers.workflows.sweeps.folder import SweepFolder

__all__ = ["read_runs", "report_document", "write_report"]


def read_runs(paths: Sequence[str | os.PathLike[str]]) -> list[ReportedRun]:
    """Read runs from their folders; the folder of a sweep stands for its members.

    Raises
    ------
    CheckpointError
        If a folder holds neither a run nor a sweep, or its files are damaged.
    """
    folders = list(dict.fromkeys(Path(path) for path in paths))
    names = _names(folders)
    return [run for folder, name in zip(folders, names, strict=True) for run in _read(folder, name, len(folders))]


def write_report(runs: Sequence[ReportedRun], path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Write a page that compares runs; a file of that name is replaced.

    Parameters
    ----------
    title
        Of the page; None for the number of runs.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    check_page_file(Path(path))
    title = title or (runs[0].name if len(runs) == 1 else f"{len(runs)} runs")
    write_page_file(Path(path), report_page(title, runs))


def report_document(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """Return a report as plain data for JSON."""
    return {
        "runs": [
            {
                "name": run.name,
                "path": run.path,
                "state": run.state,
                "manifest_sha256": run.store,
                "settings": run.settings(),
                "result": None if run.result is None else run.result.model_dump(mode="json"),
                "failure": run.failure,
            }
            for run in runs
        ],
        "front": [run.name for run in front(runs)],
        "common": common_settings(runs),
        "different": different_settings(runs),
        "remarks": remarks(runs),
    }


def _read(path: Path, name: str, folders: int) -> list[ReportedRun]:
    sweep, run = SweepFolder(path), RunFolder(path)
    if sweep.record.exists():
        members = sweep.read_record().members
        return [
            read_run(sweep.member(one), name=one if folders == 1 else f"{name}/{one}", config=config)
            for one, config in members.items()
        ]
    if not run.record.exists():
        what = "is no folder" if not path.is_dir() else f"has no {run.record.name} and no {sweep.record.name}"
        raise errors.CheckpointError(f"{path}: {what}; give folders of runs, or the folder of a sweep")
    return [read_run(run, name=name)]


def _names(folders: Sequence[Path]) -> list[str]:
    """Return short names that differ."""
    short = [folder.resolve().name for folder in folders]
    return [str(folder) if short.count(name) > 1 else name for folder, name in zip(folders, short, strict=True)]
