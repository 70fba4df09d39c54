"""A real Dask scheduler and real workers, each in a process of its own on ports that the system chooses."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client

__all__ = ["Scheduler", "scheduler"]

_START_S = 90


class Scheduler:
    """A running scheduler, to which workers can be added."""

    def __init__(self, address: str, folder: Path, stack: ExitStack) -> None:
        self.address = address
        self._folder = folder
        self._stack = stack
        self._workers = 0

    def add_worker(self, *, before: str = "pass", threads: int = 2) -> None:
        """Start a worker process and do not wait for it; `before` is Python that it runs first."""
        self._workers += 1
        name = f"worker-{self._workers}"
        program = f"{before}\nfrom distributed.cli.dask_worker import main; main()"
        _start(
            [
                *(sys.executable, "-c", program, self.address, "--no-nanny", "--no-dashboard", "--memory-limit", "0"),
                *("--nthreads", str(threads), "--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"),
                *("--name", name, "--local-directory", str(self._folder)),
            ],
            self._folder / f"{name}.log",
            self._stack,
        )

    def wait_for_workers(self, number: int) -> None:
        """Wait until so many have joined."""
        with Client(self.address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(number, timeout=_START_S)

    @property
    def logs(self) -> str:
        """Everything that the processes said."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))


@contextmanager
def scheduler(folder: Path) -> Iterator[Scheduler]:
    """Run a scheduler; when this ends so do its workers, however they are."""
    with ExitStack() as stack:
        file = folder / "scheduler.json"
        process = _start(
            [
                *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
                *("--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(file)),
            ],
            folder / "scheduler.log",
            stack,
        )
        deadline_s = time.monotonic() + _START_S
        while not file.exists() or not file.read_text():
            assert process.poll() is None, (folder / "scheduler.log").read_text()
            assert time.monotonic() < deadline_s, (folder / "scheduler.log").read_text()
            time.sleep(0.02)
        yield Scheduler(json.loads(file.read_text())["address"], folder, stack)


def _start(command: list[str], log: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    output = stack.enter_context(log.open("ab"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process
