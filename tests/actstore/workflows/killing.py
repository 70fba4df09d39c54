"""Run the real command line in a process of its own that is killed, or told to stop, at a chosen moment.

Processes are forked from a server that has imported PyTorch once, so that each costs a fraction of a second.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from actstore.cli import main

__all__ = ["Kill", "extract_in_a_process"]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    # What comes with the first model, and pandas, which pyarrow imports when it makes the first array.
    [
        *("actstore.cli.app", "actstore.workflows.extract", __name__),
        *("actstore.extract.fused", "transformers.models.auto", "pandas"),
    ]
)


class Kill(NamedTuple):
    """When the signal comes: with an object written but not yet in place, or as soon as it is in place."""

    moment: Literal["before", "after"]
    object: str
    """End of the path of the object."""
    number: signal.Signals = signal.SIGKILL


def extract_in_a_process(*arguments: object, log: Path, kill: Kill | None = None, command: str = "extract") -> int:
    """Run `actstore extract`, or another command, and return its exit code; -9 if it was killed."""
    process = _SERVER.Process(target=_run, args=(["actstore", command, *map(str, arguments)], log, kill))
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    assert code is not None
    return code


def _run(arguments: list[str], log: Path, kill: Kill | None) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if kill is not None:
        # Every object comes into place by one of these two.
        os.link = _deadly(os.link, kill)
        os.replace = _deadly(os.replace, kill)
    sys.argv = arguments
    main()


def _deadly(publish: Callable[..., None], kill: Kill) -> Callable[..., None]:
    def published(source: Any, target: Any, **options: Any) -> None:
        folder = options.get("dst_dir_fd")
        place = os.fspath(target) if folder is None else f"{Path(f'/proc/self/fd/{folder}').readlink()}/{target}"
        due = place.endswith(kill.object)
        if not (due and kill.moment == "before"):
            publish(source, target, **options)
        if due:
            os.kill(os.getpid(), kill.number)

    return published
