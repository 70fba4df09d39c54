"""Run `actstore` in this process, as a shell would."""

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple
from unittest.mock import patch

from actstore.cli import main

__all__ = ["Outcome", "actstore", "run_here"]


class Outcome(NamedTuple):
    """What a shell would see."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be exactly one JSON document."""
        return json.loads(self.out)


def actstore(*arguments: object) -> Outcome:
    """Run one command of `actstore`."""
    return run_here("actstore", main, *arguments)


def run_here(name: str, program: Callable[[], None], *arguments: object) -> Outcome:
    """Run one command of a program; standard output and error are no terminals."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with patch.object(sys, "argv", [name, *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            program()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return Outcome(code, out.getvalue(), err.getvalue())
