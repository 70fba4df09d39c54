"""Read the configuration of Slurm jobs: arguments of `dask_jobqueue.SLURMCluster`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from actstore.contracts.suggest import hint_for_key
from actstore.errors import UsageError
from actstore.workflows.clusters.gpus import ALLOCATOR, thread_environment
from actstore.workflows.extraction.executors import THREADS

__all__ = ["ADAPT", "read_slurm_config", "slurm_arguments"]

ADAPT: Final = "adapt"
"""The table of a configuration that adapts the number of jobs to the work."""
_SAID: Final = {"extra_forbidden": "not known", "missing": "is missing"}
_QUIET: Final = {"dashboard": False, "dashboard_address": ":0"}


class _Adapt(BaseModel):
    """Arguments of `SLURMCluster.adapt`, which silently accepts unknown ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    minimum_jobs: int = Field(ge=1)
    maximum_jobs: int = Field(ge=1)
    interval: str | None = None
    target_duration: str | None = None
    wait_count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum_jobs > self.maximum_jobs:
            raise ValueError(f"minimum_jobs = {self.minimum_jobs} is more than maximum_jobs = {self.maximum_jobs}")
        return self


class _SlurmConfig(BaseModel):
    """Arguments of `SLURMCluster` that a file may give, without those that actstore sets and deprecated ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cores: int = Field(ge=1)
    memory: str
    queue: str | None = None
    account: str | None = None
    walltime: str | None = None
    interface: str | None = None
    protocol: str | None = None
    job_name: str | None = None
    job_cpu: int | None = None
    job_mem: str | None = None
    job_extra_directives: list[str] | None = None
    job_directives_skip: list[str] | None = None
    job_script_prologue: list[str] | None = None
    worker_command: str | None = None
    worker_extra_args: list[str] | None = None
    processes: int | None = Field(default=None, ge=1)
    nanny: bool | None = None
    death_timeout: int | str | None = None
    local_directory: str | None = None
    log_directory: str | None = None
    shared_temp_directory: str | None = None
    python: str | None = None
    shebang: str | None = None
    security: bool | None = None
    silence_logs: str | None = None
    scheduler_options: dict[str, Any] | None = None
    adapt: _Adapt | None = None


def read_slurm_config(path: Path) -> dict[str, Any]:
    """Read arguments of `dask_jobqueue.SLURMCluster` from TOML.

    Raises
    ------
    UsageError
        If the file cannot be read, or has unknown keys or values of another type.
    """
    try:
        config = _SlurmConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, each['loc']))}: {_SAID.get(each['type'], each['msg'])}"
            + hint_for_key(_SlurmConfig, each["loc"]) * (each["type"] == "extra_forbidden")
            for each in error.errors()
        )
        known, below = (", ".join(sorted(model.model_fields)) for model in (_SlurmConfig, _Adapt))
        raise UsageError(
            f"{path}: not a Slurm configuration:\n{problems}\nallowed are {known}; below [adapt] {below}"
        ) from None
    return config.model_dump(exclude_unset=True)


def slurm_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `SLURMCluster` for a configuration: one worker in each job, and no dashboard."""
    chosen = {name: value for name, value in config.items() if name != ADAPT}
    # Nannies pass these variables on; a variable DASK_... cannot set names with capitals.
    environment = thread_environment(int(config["cores"]), environ={}) | ALLOCATOR
    return {
        "processes": 1,
        **chosen,
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in environment.items()),
            *chosen.get("job_script_prologue", []),
        ],
        # The last argument counts: dask-jobqueue itself gives each worker as many threads as it has cores.
        "worker_extra_args": ["--nthreads", str(THREADS), *chosen.get("worker_extra_args", [])],
        "scheduler_options": _QUIET | chosen.get("scheduler_options", {}),
    }
