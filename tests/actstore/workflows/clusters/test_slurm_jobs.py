"""What Slurm says of a job, by a `sbatch` that only answers; test_clusters.py has one that refuses jobs of a run."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actstore.errors import WorkerError
from actstore.workflows.clusters.slurm_jobs import check_jobs, try_job


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def written(body: str) -> None:
        (tmp_path / "sbatch").write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "sbatch").chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return written


def test_a_job_is_tried_without_being_submitted(sbatch: Callable[[str], None]) -> None:
    sbatch('[ "$1" = --test-only ] && grep -q "#SBATCH -A proteins" "$2"')
    try_job("#!/bin/bash\n#SBATCH -A proteins\n")
    sbatch("echo 'sbatch: error: Invalid account' >&2; exit 1")
    with pytest.raises(WorkerError, match="no Slurm job can be submitted: sbatch: error: Invalid account; "):
        try_job("#!/bin/bash\n")


def test_one_job_that_was_taken_is_reason_to_wait() -> None:
    def cluster(*refusals: str | None) -> Any:
        return SimpleNamespace(workers={number: SimpleNamespace(refusal=each) for number, each in enumerate(refusals)})

    check_jobs(cluster())
    check_jobs(cluster("too many jobs", None))
    with pytest.raises(WorkerError, match="too many jobs"):
        check_jobs(cluster("too many jobs", "too many jobs"))
