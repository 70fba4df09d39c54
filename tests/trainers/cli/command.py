"""Run `trainer` in a process of its own, as a shell would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["ENVIRONMENT", "OPTIONS", "Left", "command", "kill_when", "stop_when", "trainer"]

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}

OPTIONS = (
    "--site",
    "resid_post.3",
    "--batch-rows",
    512,
    "--latents",
    256,
    "--k",
    16,
    "--model-device",
    "cpu",
    "--json",
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from trainers.cli import main; main()", *map(str, arguments)]


def trainer(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


def kill_when(ready: Callable[[], bool], *arguments: object, cwd: Path) -> None:
    """Start a command and kill it as soon as `ready` says so."""
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None and not ready():
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
        said = run.communicate()
    assert run.returncode == -signal.SIGKILL, f"it finished before it could be killed: {said}"


class Left(NamedTuple):
    """How a command left that was told to stop."""

    code: int
    out: str
    err: str
    seconds: float
    """From the signal to the end."""


def stop_when(
    ready: Callable[[], bool], number: signal.Signals, *arguments: object, cwd: Path, after_s: float = 0.0
) -> Left:
    """Start a command and send it a signal when `ready` says so, or some time later."""
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        while run.poll() is None and not ready():
            time.sleep(0.002)
        time.sleep(after_s)
        began = time.monotonic()
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
        return Left(run.returncode, out, err, time.monotonic() - began)
