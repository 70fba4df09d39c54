"""From an exception to a sentence and an exit code: 0 done, 1 failed, 2 usage, 130 interrupted, 143 terminated."""

from __future__ import annotations

import signal
import sys
from typing import Final

import typer
from rich.console import Console

from actstore.access.printable import printable
from actstore.cli.hidden import print_defect, without_secrets_in_logs
from actstore.cli.output import checked_output
from actstore.errors import ActstoreError
from actstore.leaving import Interrupted, Watch, leave_in_time, signal_words
from actstore.workflows.extraction.deadline import Stop

__all__ = ["run_command"]

_SIGNALLED: Final = 128
"""Added to the number of a signal, as shells do."""
_AGAIN: Final = "run the same command again"
_MOST_LETTERS: Final = 20_000
_KEPT: Final = "\n\t"


def run_command(app: typer.Typer) -> None:
    """Run a command line and exit with its exit code.

    An error of the project is printed as one message on standard error, and so is output that cannot be written. Any
    other exception is a defect and keeps its traceback, without secrets. SIGINT (Ctrl-C) and SIGTERM end the command as
    the exception `Interrupted` would, so that temporary files are removed; a command may end in better order with a
    `Stop` of its own. In any case the process has ended five seconds after the signal, and at once after a second one;
    see `actstore.leaving`.
    """
    with leave_in_time() as watch:
        watch.leave(_run(app, watch))


def _run(app: typer.Typer, watch: Watch) -> int:
    stop = Stop()
    try:
        with without_secrets_in_logs(), stop.on_signals(), stop.interruptible(), checked_output():
            app(standalone_mode=True)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except Interrupted as told:
        watch.number = watch.number or told.number
        number = told.number or signal.SIGTERM
        _say(f"stopped by {signal_words(number)}: {told.says or _AGAIN}")
        return _SIGNALLED + number
    except ActstoreError as error:
        _say(f"error: {error}")
        # What failed because of the signal is no failure of the command.
        return error.exit_code if watch.number is None else _SIGNALLED + watch.number
    except KeyboardInterrupt:
        return _SIGNALLED + signal.SIGINT
    finally:
        sys.excepthook = print_defect  # afterwards: typer sets its own
    return 0


def _say(text: str) -> None:
    # Paths and ids must appear unchanged: rich would treat `[a]` as markup and `:b:` as an emoji.
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False).print(
        printable(text, most=_MOST_LETTERS, keep=_KEPT)
    )
