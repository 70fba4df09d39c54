"""Where workers come from; Slurm as far as it goes without Slurm: a `sbatch` that runs the job script on the spot."""

import importlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actstore.contracts.recipe import Recipe
from actstore.errors import UsageError
from actstore.store.objects import LocalObjects
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters import (
    LocalWorkers,
    SlurmWorkers,
    WorkOrder,
    connected,
    read_slurm_config,
    slurm_arguments,
)
from actstore.workflows.deadline import Stop
from actstore.workflows.extract import extract_on, extract_with
from tests.actstore.workflows import worker_models
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]

CONFIG = """
queue = "gpu"
account = "proteins"
cores = 8
memory = "64GB"
walltime = "48:00:00"
job_extra_directives = ["--gres=gpu:1"]
job_script_prologue = ["module load cuda"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "slurm.toml"
        path.write_text(text)
        return path

    return written


class TestSlurmConfig:
    def test_becomes_a_job_script_with_one_worker_of_two_threads(self, config: Callable[[str], Path]) -> None:
        arguments = slurm_arguments(read_slurm_config(config(CONFIG)))
        arguments["scheduler_options"] |= {"host": "127.0.0.1"}
        with importlib.import_module("dask_jobqueue").SLURMCluster(**arguments) as cluster:
            script = cluster.job_script()
        for line in ("-p gpu", "-A proteins", "--cpus-per-task=8", "--mem=60G", "-t 48:00:00", "--gres=gpu:1"):
            assert f"#SBATCH {line}" in script
        assert "\nmodule load cuda\n" in script
        assert "\nexport OMP_NUM_THREADS=8\n" in script
        worker = next(line for line in script.splitlines() if "dask_worker" in line)
        assert worker.split("--nthreads ")[-1].split()[0] == "2", "the last word counts"
        assert "--nworkers" not in worker or "--nworkers 1" in worker

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            (CONFIG + "partition = 'gpu'\n", "slurm.toml: partition: not known; there are account, adapt, "),
            (CONFIG + "n_workers = 3\n", "n_workers: not known"),
            ("cores = 8\n", "memory is missing"),
            ("cores = ", "not TOML"),
        ],
    )
    def test_what_is_wrong_with_it_is_named(self, text: str, wanted: str, config: Callable[[str], Path]) -> None:
        with pytest.raises(UsageError) as caught:
            read_slurm_config(config(text))
        assert wanted in str(caught.value)

    def test_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"none\.toml: cannot be read: No such file"):
            read_slurm_config(tmp_path / "none.toml")

    def test_says_how_many_jobs_if_the_command_does_not(self) -> None:
        adapt = {"minimum_jobs": 1, "maximum_jobs": 8}
        assert SlurmWorkers({"adapt": adapt}).jobs is None
        for wrong in ({}, {"adapt": adapt}):
            with pytest.raises(UsageError, match=r"--workers N .* or a table \[adapt\]"):
                SlurmWorkers(wrong, 4 if wrong else None)


@pytest.mark.parametrize("make", [LocalWorkers, lambda jobs: SlurmWorkers({}, jobs)])
def test_no_worker_is_too_few(make: Callable[[int], Any]) -> None:
    with pytest.raises(UsageError, match="at least one is needed"):
        make(0)


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"distributed is not installed: pip install 'actstore\[dask\]'"):
        connected(LocalWorkers(1), device="cpu").__enter__()


@pytest.fixture
def slurm(config: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Gives a configuration for one job at a time on this machine, which a `sbatch` starts that is not Slurm's."""
    commands = tmp_path / "bin"
    commands.mkdir()
    log = tmp_path / "jobs.log"
    for name, body in {
        # As Slurm does, it copies the script, which is gone a moment later.
        "sbatch": f'script=$(mktemp -p {tmp_path}); cp "${{@: -1}}" "$script"\n'
        f'setsid bash "$script" >> {log} 2>&1 < /dev/null &\necho "Submitted batch job $!"',
        "scancel": 'kill -- -"$1"',
    }.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    path = os.pathsep.join(path for path in sys.path if path)

    def configured(*, cores: int = 1, adapt: bool = False) -> dict[str, Any]:
        text = (
            f'cores = {cores}\nmemory = "4GB"\nlocal_directory = "{tmp_path}"\n'
            'worker_extra_args = ["--host", "127.0.0.1"]\n'
            f'job_script_prologue = ["export PYTHONPATH=\'{path}\'"]\nscheduler_options.host = "127.0.0.1"\n'
        )
        text += "[adapt]\nminimum_jobs = 1\nmaximum_jobs = 1\n" if adapt else ""
        return read_slurm_config(config(text))

    return configured


@pytest.mark.slow
@pytest.mark.parametrize("adapting", [False, True])
def test_slurm_jobs_do_the_tasks(
    adapting: bool, recipe_of: RecipeOf, slurm: Callable[..., Any], tmp_path: Path
) -> None:
    control = tmp_path / "control"
    control.mkdir()
    recipe = recipe_of(model={"name": str(control)})
    model = FakeModel(sites=["embed", "final_norm"])
    extract_with(model, LocalObjects(tmp_path / "whole"), recipe)
    extract_with(model, LocalObjects(tmp_path / "store"), recipe, stop=Stop(after_s=0))
    report = extract_on(
        SlurmWorkers(slurm(adapt=adapting), None if adapting else 1),
        LocalObjects(tmp_path / "store"),
        order=WorkOrder(str(tmp_path / "store"), None, recipe.model, "cpu", worker_models.load_fake),
    )
    assert report.complete
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("where", "said", "wanted"), [("here", "1", 1), ("here", None, 2), ("slurm", None, 2)])
def test_workers_are_as_fast_as_a_process_without_dask(
    where: str, said: str | None, wanted: int, slurm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    cluster = LocalWorkers(1) if where == "here" else SlurmWorkers(slurm(cores=2), 1)
    with connected(cluster, device="cpu") as client:
        client.wait_for_workers(1, timeout=90)
        [(threads, faults)] = client.run(_threads_and_faults).values()
    assert threads == wanted
    assert faults < 10, "memory that is freed is used again, and not fetched from the kernel"


def _threads_and_faults() -> tuple[int, float]:
    """Return how many threads torch would use, and how many pages an array of 256 pages faults in."""
    arrays = 100
    np.ones(1 << 20, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(arrays):
        np.ones(1 << 20, np.uint8)
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / arrays
    return torch.get_num_threads(), faults


def test_ctrl_c_stays_what_it_was_though_dask_jobqueue_changes_it(tmp_path: Path) -> None:
    config = tmp_path / "slurm.toml"
    config.write_text('cores = 1\nmemory = "1GB"\n')
    script = (
        "import signal, sys; from pathlib import Path; before = signal.getsignal(signal.SIGINT)\n"
        "from actstore.workflows.clusters import read_slurm_config\n"
        f"read_slurm_config(Path({str(config)!r}))\n"
        "assert 'dask_jobqueue' in sys.modules and signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
