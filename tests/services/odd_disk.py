"""Programs on file systems that refuse what others grant: hard links, renaming without replacing, flushing folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["build", "obstacle", "on_odd_disk"]

SOURCE = Path(__file__).with_suffix(".c")


def obstacle() -> str | None:
    """Return why such file systems cannot be imitated here; None if they can."""
    if not sys.platform.startswith("linux"):
        return "LD_PRELOAD is of Linux"
    return None if shutil.which("gcc") else "no gcc, which builds tests/services/odd_disk.c"


def build(folder: Path) -> Path:
    """Compile the library into a folder."""
    library = folder / "odd_disk.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True, capture_output=True)
    return library


def on_odd_disk(library: Path, **refused: int) -> dict[str, str]:
    """Return the environment of a program for which calls are refused: ``on_odd_disk(library, link=errno.EPERM)``."""
    return os.environ | {"LD_PRELOAD": str(library)} | {f"ODD_{name.upper()}": str(refused[name]) for name in refused}
