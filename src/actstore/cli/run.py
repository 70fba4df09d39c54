"""From an exception to a sentence and an exit code: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated."""

from __future__ import annotations

import sys
from typing import Final

import typer
from rich.console import Console

from actstore.access.printable import printable
from actstore.errors import ActstoreError
from actstore.workflows.extraction.deadline import Interrupted, Stop

__all__ = ["run_command"]

_INTERRUPTED: Final = 130
_TERMINATED: Final = 143
_MOST_LETTERS: Final = 20_000
_KEPT: Final = "\n\t"


def run_command(app: typer.Typer) -> None:
    """Run a command line to its end and leave the process with its exit code.

    Errors of the project are one message on standard error; anything else is a defect and keeps its traceback. SIGTERM
    ends it as an exception would, so that nothing temporary stays behind.
    """
    stop = Stop()
    try:
        with stop.on_sigterm(), stop.interruptible():
            app(standalone_mode=True)
    except Interrupted:
        sys.exit(_TERMINATED)
    except ActstoreError as error:
        # Paths and ids are shown as they are: rich would take `[a]` for markup and `:b:` for an emoji.
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False).print(
            f"error: {printable(str(error), most=_MOST_LETTERS, keep=_KEPT)}"
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
