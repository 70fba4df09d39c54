"""A piece of a program in a process of its own, with so much memory and time and no more."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Outcome", "run_bounded"]

SOURCES = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, resource, sys
from pathlib import Path
from actstore.errors import ActstoreError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def report(error):
    print(json.dumps({{"error": type(error).__name__ if error else None, "ours": isinstance(error, ActstoreError),
                      "message": str(error or ""), "grown": peak() - before}}))

argument = Path(sys.argv[1])
{imports}
before = peak()
try:
{body}
except BaseException as error:
    report(error)
else:
    report(None)
"""


class Outcome(NamedTuple):
    """How it ended."""

    error: str | None
    """Class of what was raised."""
    ours: bool
    message: str
    grown_bytes: int
    """By how much the largest resident size grew."""


def run_bounded(imports: str, body: str, argument: Path, *, memory_bytes: int = 6 << 30, seconds: int = 60) -> Outcome:
    """Run statements that may use `argument`; fail where they need more memory or time."""
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(imports=imports, body=indented), str(argument)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=SOURCES,
        env={
            "PYTHONPATH": str(SOURCES / "src"),
            "PATH": "/usr/bin:/bin",
            "OMP_NUM_THREADS": "1",
            "HOME": "/nonexistent",
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes)),
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    return Outcome(found["error"], found["ours"], found["message"], found["grown"])
