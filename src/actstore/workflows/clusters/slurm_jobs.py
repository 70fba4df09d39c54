"""Slurm jobs: check whether they can be submitted, and report what Slurm says if not."""

from __future__ import annotations

import subprocess
from typing import Any, Final

from dask_jobqueue.slurm import SLURMJob
from distributed.deploy.spec import ProcessInterface

from actstore.access.scratch import scratch_folder
from actstore.errors import WorkerError

__all__ = ["SlurmJob", "check_jobs", "try_job"]

_WAY_OUT: Final = "start this where sbatch can submit jobs; queue, account and sizes are in the Slurm configuration"
_TRY_S: Final = 120
_SAID: Final = "stderr:\n"
"""After this text dask-jobqueue quotes the output of a command."""


class SlurmJob(SLURMJob):
    """A job that keeps the reason if Slurm refuses it; dask-jobqueue only logs it."""

    refusal: str | None = None

    async def start(self) -> None:
        """Submit the job; a refused job counts as started and never gets a worker."""
        try:
            await super().start()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError, ValueError) as error:  # no sbatch; it failed; no number in its answer
            self.refusal = str(error).rpartition(_SAID)[2]
            await ProcessInterface.start(self)  # type: ignore[no-untyped-call]


def check_jobs(cluster: Any) -> None:  # noqa: ANN401 - a SLURMCluster, which has no types
    """Check the jobs of a cluster that has no worker.

    Raises
    ------
    WorkerError
        If Slurm refused all remaining jobs.
    """
    refusals = [job.refusal for job in tuple(cluster.workers.values())]
    if refusals and None not in refusals:
        raise _refused(refusals[0])


def try_job(script: str) -> None:
    """Ask Slurm whether it would take a job, without submitting it.

    Raises
    ------
    WorkerError
        If it would not.
    """
    with scratch_folder("job") as folder:
        path = folder / "job.sh"
        path.write_text(script, encoding="utf-8")
        try:
            done = subprocess.run(
                [SlurmJob.submit_command, "--test-only", path],
                capture_output=True,
                text=True,
                check=False,
                timeout=_TRY_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _refused(str(error)) from error
    if done.returncode:
        raise _refused(done.stderr)


def _refused(said: str) -> WorkerError:
    return WorkerError(f"no Slurm job can be submitted: {' '.join(said.split())}; {_WAY_OUT}")
