"""Processes that are told what to do in lines, and answer each with a line of JSON.

Imports the standard library alone, since annbatch runs in an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

__all__ = ["REPOSITORY", "LineProcess", "answers_to_parent", "command", "end_of"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_END_OF_LOG: Final = 4000


def command(arguments: Sequence[str], python: Path | None = None) -> list[str]:
    """Return how a module of the benchmarks is started, from the root of the repository."""
    return [str(python or sys.executable), "-m", *arguments]


def answers_to_parent() -> IO[str]:
    """Return where answers go; whatever else is printed goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


class LineProcess:
    """A module of the benchmarks in a process of its own. It ends with the `with` statement.

    Parameters
    ----------
    arguments
        The module and its arguments.
    name
        What it is called in errors.
    python
        Its interpreter, if another than ours.
    environment
        What is added to ours.
    log
        Where its standard error is added; None for our own.

    Raises
    ------
    RuntimeError
        If it dies; with the end of its log.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        name: str,
        python: Path | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._name, self._log = name, log
        errors = None if log is None else log.open("ab")
        try:
            self._process = subprocess.Popen(
                command(arguments, python),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=REPOSITORY,
                env={**os.environ, **(environment or {})},
            )
        finally:
            if errors is not None:
                errors.close()
        self.opened: dict[str, Any] = self._answer()
        """What it said once it was ready."""

    def ask(self, line: str) -> dict[str, Any]:
        """Tell it a line and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._end()

    def _end(self) -> int:
        """Close its standard input, wait until it ends, and return its status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        status = self._process.wait()
        self._process.stdout.close()
        return status

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._end()
            said = "see what it said above" if self._log is None else end_of(self._log)
            raise RuntimeError(f"{self._name} failed with status {status}:\n{said}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def end_of(log: Path) -> str:
    """Return the last of a log."""
    return log.read_text(errors="replace")[-_END_OF_LOG:]
