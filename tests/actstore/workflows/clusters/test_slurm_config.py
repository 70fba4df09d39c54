"""What a file may say of Slurm jobs, and what comes of it."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.errors import UsageError
from actstore.workflows.clusters.slurm_config import read_slurm_config, slurm_arguments

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


def test_becomes_a_job_script_with_one_worker_of_two_threads(config: Callable[[str], Path]) -> None:
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
        (CONFIG + "partition = 'gpu'\n", "  partition: not known\nallowed are account, adapt, "),
        (CONFIG + "n_workers = 3\n", "n_workers: not known"),
        (CONFIG + "memroy = '1GB'\n", "memroy: not known; did you mean 'memory'?"),
        (CONFIG + "maximum_job = 3\n", "maximum_job: not known; did you mean 'adapt.maximum_jobs' or "),
        ("cores = 8\n", "memory: is missing"),
        ("cores = ", "not TOML"),
        ("cores = 8\nmemory = 64\n", "memory: Input should be a valid string"),
        ("cores = '8'\nmemory = '64GB'\n", "cores: Input should be a valid integer"),
        (
            "cores = 1\nmemory = '1GB'\njob_script_prologue = 'source x'\n",
            "job_script_prologue: Input should be a valid list",
        ),
        (CONFIG + "worker_extra_args = '--lifetime 47h'\n", "worker_extra_args: Input should be a valid list"),
        (CONFIG + "[adapt]\nminimun = 1\n", "  adapt.minimun: not known"),
        (CONFIG + "[adapt]\nmaximum_jobs = 8\n", "adapt.minimum_jobs: is missing"),
        (CONFIG + "[adapt]\nminimum_jobs = 0\nmaximum_jobs = 8\n", "adapt.minimum_jobs: Input should be greater"),
        (CONFIG + "[adapt]\nminimum_jobs = 9\nmaximum_jobs = 8\n", "minimum_jobs = 9 is more than maximum_jobs = 8"),
    ],
)
def test_what_is_wrong_with_it_is_named(text: str, wanted: str, config: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError) as caught:
        read_slurm_config(config(text))
    assert wanted in str(caught.value)


def test_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read: No such file"):
        read_slurm_config(tmp_path / "none.toml")


def test_only_what_it_says_is_handed_on(config: Callable[[str], Path]) -> None:
    adapt = "[adapt]\nminimum_jobs = 1\nmaximum_jobs = 8\n"
    read = read_slurm_config(config(CONFIG + adapt))
    assert read["adapt"] == {"minimum_jobs": 1, "maximum_jobs": 8}
    assert "walltime" in read
    assert "interface" not in read
