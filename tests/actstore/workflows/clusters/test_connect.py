"""Where workers come from; Slurm as far as it goes without Slurm: a `sbatch` that runs the job script on the spot."""

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

import actstore
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import UsageError, WorkerError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters.connect import ExistingScheduler, LocalWorkers, SlurmWorkers, check_cluster, connected
from actstore.workflows.clusters.slurm_config import read_slurm_config
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extract import extract_on, extract_store, extract_with
from actstore.workflows.extraction.deadline import Stop
from tests.actstore.workflows.clusters import worker_models
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "slurm.toml"
        path.write_text(text)
        return path

    return written


def test_slurm_says_how_many_jobs_if_the_command_does_not() -> None:
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


@pytest.mark.slow
def test_workers_that_do_not_start_are_an_error_with_its_cause(tmp_path: Path) -> None:
    """Here Python itself does not start in them; it may also be memory, or a script without a main guard."""
    program = (
        "import sys, dask\n"
        "from actstore.errors import WorkerError\n"
        "from actstore.workflows.clusters.connect import LocalWorkers, connected\n"
        "if __name__ == '__main__':\n"
        "    dask.config.set({'distributed.nanny.pre-spawn-environ.PYTHONHOME': '/nowhere'})\n"
        "    try:\n"
        "        with connected(LocalWorkers(2), device='cpu'): pass\n"
        "    except WorkerError as error:\n"
        "        print(error)\n"
    )
    (tmp_path / "program.py").write_text(program)
    # Without the folders of the standard library, which pytest's own path has.
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(actstore.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.startswith("not all of the 2 worker processes started: Nanny failed to start worker process; ")
    assert "room in TMPDIR" in done.stdout
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


@pytest.fixture
def slurm(config: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Gives a configuration for one job at a time on this machine, which a `sbatch` starts that is not Slurm's."""
    commands = tmp_path / "bin"
    commands.mkdir()
    log = tmp_path / "jobs.log"
    for name, body in {
        # As Slurm does, it copies the script, which is gone a moment later.
        "sbatch": f'[ "$1" = --test-only ] && exit; script=$(mktemp -p {tmp_path}); cp "${{@: -1}}" "$script"\n'
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
        "from actstore.workflows.clusters.connect import SlurmWorkers, connected\n"
        "from actstore.workflows.clusters.slurm_config import read_slurm_config\n"
        f"connected(SlurmWorkers(read_slurm_config(Path({str(config)!r})), 1), device='cpu').__enter__()\n"
        "assert 'dask_jobqueue' in sys.modules and signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.fixture
def refusing(slurm: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Gives the same where Slurm refuses every job, or where there is none."""

    def configured(*, by: str, adapt: bool = False) -> dict[str, Any]:
        commands = tmp_path / "bin"
        if by == "account":
            (commands / "sbatch").write_text(
                "#!/bin/bash\necho 'sbatch: error: Batch job submission failed: Invalid account' >&2\nexit 1\n"
            )
        else:
            (commands / "sbatch").unlink()
        return slurm(adapt=adapt)

    return configured


@pytest.mark.parametrize(("by", "said"), [("account", "Invalid account"), ("absence", "No such file.*'sbatch'")])
@pytest.mark.parametrize("adapting", [False, True])
def test_where_slurm_takes_no_job_that_is_said(
    adapting: bool,
    by: str,
    said: str,
    recipe_of: RecipeOf,
    refusing: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster = SlurmWorkers(refusing(by=by, adapt=adapting), None if adapting else 3)
    with pytest.raises(WorkerError, match=f"no Slurm job can be submitted: .*{said}"):
        check_cluster(cluster)
    recipe, store = recipe_of(), tmp_path / "store"
    extract_with(FakeModel(), LocalObjects(store), recipe, stop=Stop(after_s=0))
    with pytest.raises(WorkerError, match=f"no Slurm job can be submitted: .*{said}"):
        extract_on(cluster, LocalObjects(store), order=WorkOrder(str(store), None, recipe.model, "cpu"))
    assert "Traceback" not in capfd.readouterr().err


def test_a_scheduler_of_slurm_jobs_that_cannot_start_is_a_matter_of_the_configuration() -> None:
    with pytest.raises(UsageError, match=r"the Slurm configuration: .*'ib77' is not a valid network interface"):
        check_cluster(SlurmWorkers({"cores": 1, "memory": "1GB", "interface": "ib77"}, 1))


@pytest.mark.parametrize("address", ["nonsense", "nonsense://x", "tcp://head"])
def test_what_is_no_address_is_refused_at_once_and_leaves_nothing_that_tries(address: str) -> None:
    script = (
        "from actstore.errors import UsageError\n"
        "from actstore.workflows.clusters.connect import ExistingScheduler, check_cluster\n"
        f"try: check_cluster(ExistingScheduler({address!r}))\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    assert f"--scheduler = {address!r}: " in done.stdout
    assert not done.stderr


def test_workers_that_cannot_be_had_are_told_before_the_store_is_begun(
    tiny_recipe: RecipeOf, refusing: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for cluster, error in (
        (ExistingScheduler("nonsense"), UsageError),
        (SlurmWorkers(refusing(by="account"), 1), WorkerError),
    ):
        with pytest.raises(error):
            extract_store(tiny_recipe(**{"model.name": "nobody/has-this"}), str(tmp_path / "store"), cluster=cluster)
        assert not (tmp_path / "store").exists()
