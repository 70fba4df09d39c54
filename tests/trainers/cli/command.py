"""Run `trainer` in a process of its own, as a shell would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["ENVIRONMENT", "OPTIONS", "command", "kill_when", "trainer"]

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
    assert run.returncode == -signal.SIGKILL, "it finished before it could be killed"
