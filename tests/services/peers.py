"""SAELens, dictionary_learning and sparsify, in an environment of their own: `make peers`."""

import os
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["obstacle", "python_of_peers", "run_peers"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = REPOSITORY / "build" / "peers" / "bin" / "python"
_SCRIPT: Final = Path(__file__).with_name("peers_side.py")


def obstacle() -> str | None:
    """Return why the libraries cannot be used here; None if they can."""
    return None if PYTHON.exists() else f"{PYTHON.relative_to(REPOSITORY)} is missing: make peers"


def run_peers(work: Path) -> None:
    """Let the libraries read and write in a folder, as `peers_side.py` says."""
    _run(str(_SCRIPT), str(work))


def python_of_peers(code: str) -> str:
    """Run code of this repository where the libraries are, and return what it prints."""
    return _run("-c", code)


def _run(*arguments: str) -> str:
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}",
    }
    done = subprocess.run(
        [PYTHON, *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
