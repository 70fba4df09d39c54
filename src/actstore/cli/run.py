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
    """Run a command line and exit with its exit code.

    An error of the project is printed as one message on standard error. Any other exception is a defect and keeps its
    traceback. SIGTERM ends the command as an exception would, so that temporary files are removed.
    """
    stop = Stop()
    try:
        with stop.on_sigterm(), stop.interruptible():
            app(standalone_mode=True)
    except Interrupted:
        sys.exit(_TERMINATED)
    except ActstoreError as error:
        # Paths and ids must appear unchanged: rich would treat `[a]` as markup and `:b:` as an emoji.
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False).print(
            f"error: {printable(str(error), most=_MOST_LETTERS, keep=_KEPT)}"
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
