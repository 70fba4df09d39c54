"""The processes of the stream benchmark, seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from benchmarks.contestants.contract import Setting

__all__ = ["Process", "run_once"]

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
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
    done = subprocess.run(
        _command(arguments, python), check=True, stdout=subprocess.PIPE, stderr=log, text=True, **_surroundings()
    )
    printed: str = done.stdout
    return printed


class Process:
    """One contestant, open and checked, that measures when told to. Its process ends with the `with` statement.

    Raises
    ------
    RuntimeError
        If it dies; with the end of its log.
    """

    def __init__(self, name: str, setting: Setting, scale: str, *, python: Path | None = None) -> None:
        self._name = name
        self._log = _log(name, setting)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(_worker(name, setting, scale, "contest"), python),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                **_surroundings(),
            )
        self.opened: dict[str, Any] = self._answer()
        """What it said once it was open: rows, versions, variant, exactly_once, peak_anonymous_bytes."""

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
                raise RuntimeError(f"{name} failed:\n{_end_of(log)}") from error
        return answer["absent"] if "absent" in answer else cls(name, setting, scale, python=python)

    def measure(self) -> dict[str, Any]:
        """Run epochs and return what `worker.measure` does."""
        self._tell("measure")
        return self._answer()

    def finish(self) -> dict[str, Any]:
        """Close the contestant and return its memory at the end: peak_bytes, anonymous_bytes_after."""
        self._tell("finish")
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if error is not None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"{self._name} failed:\n{_end_of(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


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


def _command(arguments: Sequence[str], python: Path | None) -> list[str]:
    return [str(python or sys.executable), "-m", *arguments]


def _surroundings() -> dict[str, Any]:
    return {"cwd": _REPOSITORY, "env": {**os.environ, **_QUIET}}


def _log(name: str, setting: Setting) -> Path:
    return setting.folder / f"{name}.{setting.workload.name}.log"


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
