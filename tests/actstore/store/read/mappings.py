"""What the operating system says of this process's memory (Linux)."""

import re
from pathlib import Path

import pytest

__all__ = ["mapped_files", "needs_proc", "resident_bytes"]

needs_proc = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc to ask about mappings")

_HEADER = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")


def mapped_files(below: Path) -> set[str]:
    """Return the files below a folder that are mapped."""
    return {name for name, _ in _mappings() if name.startswith(f"{below}/")}


def resident_bytes(below: Path) -> int:
    """Return how much of the mapped files below a folder counts as memory of this process."""
    return sum(size for name, size in _mappings() if name.startswith(f"{below}/"))


def _mappings() -> list[tuple[str, int]]:
    """Return the name of every mapping and its resident bytes."""
    found: list[tuple[str, int]] = []
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        header = _HEADER.match(line)
        if header is not None:
            found.append((header[1], 0))
        elif line.startswith("Rss:"):
            found[-1] = (found[-1][0], int(line.split()[1]) * 1024)
    return found
