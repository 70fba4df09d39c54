"""From an exception to a sentence and an exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""

from __future__ import annotations

import sys
from typing import Final

import click
import typer
from rich.console import Console

from actstore.errors import ActstoreError

__all__ = ["run_command"]

_INTERRUPTED: Final = 130


def run_command(app: typer.Typer) -> None:
    """Run a command line to its end and leave the process with its exit code.

    Errors of the project are one message on standard error; anything else is a defect and keeps its traceback.
    """
    try:
        app(standalone_mode=True)
    except ActstoreError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"error: {error}", markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_INTERRUPTED)
