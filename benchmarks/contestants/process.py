"""The processes of the stream benchmark, seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

from benchmarks.contestants.contract import Setting
from benchmarks.contestants.lines import REPOSITORY, LineProcess, command, end_of

__all__ = ["Process", "run_once"]

_QUIET: Final = {
    "LITDATA_DISABLE_VERSION_CHECK": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


def run_once(arguments: Sequence[str], *, python: Path | None = None, log: IO[Any]) -> str:
    """Run a module of the benchmark to its end and return what it printed.

    Raises
    ------
    CalledProcessError
        If it fails; what it said is in the log.
    """
    done: Any = subprocess.run(
        command(arguments, python),
        check=True,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **_QUIET},
    )
    printed: str = done.stdout
    return printed


class Process(LineProcess):
    """One contestant, open and checked, that measures when told to.

    `opened` holds rows, versions, variant, exactly_once and peak_anonymous_bytes.
    """

    def __init__(self, name: str, setting: Setting, scale: str, *, python: Path | None = None) -> None:
        super().__init__(
            _worker(name, setting, scale, "contest"),
            name=name,
            python=python,
            environment=_QUIET,
            log=_log(name, setting),
        )

    @classmethod
    def prepared(cls, name: str, setting: Setting, scale: str, *, python: Path | None = None) -> Self | str:
        """Write a contestant's copy of the rows, in a process whose memory does not count, and open it.

        Returns
        -------
        Process or str
            Why it cannot take part, if it cannot.
        """
        log = _log(name, setting)
        with log.open("wb") as file:
            try:
                answer = json.loads(run_once(_worker(name, setting, scale, "prepare"), python=python, log=file))
            except subprocess.CalledProcessError as error:
                raise RuntimeError(f"{name} failed:\n{end_of(log)}") from error
        return answer["absent"] if "absent" in answer else cls(name, setting, scale, python=python)

    def measure(self) -> dict[str, Any]:
        """Run epochs and return what `worker.measure` does."""
        return self.ask("measure")

    def finish(self) -> dict[str, Any]:
        """Close the contestant and return its memory at the end: peak_bytes, anonymous_bytes_after."""
        return self.ask("finish")


def _worker(name: str, setting: Setting, scale: str, task: str) -> list[str]:
    return [
        "benchmarks.contestants.worker",
        name,
        setting.workload.name,
        str(setting.folder.resolve()),
        scale,
        str(setting.seed),
        task,
    ]


def _log(name: str, setting: Setting) -> Path:
    return setting.folder / f"{name}.{setting.workload.name}.log"
