"""How much memory is free: for the system, and for each control group that this process is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["available_memory"]


class _Files(NamedTuple):
    """Names in one version of control groups: the limit of a group, its use, and the part that can be dropped."""

    limit: str
    used: str
    droppable: str


_VERSIONS: Final = {
    "memory": _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "": _Files("memory.max", "memory.current", "inactive_file"),
}
"""By the folder of groups below /sys/fs/cgroup: version 1 has one for each controller, version 2 has none."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that the system and the control groups allow to allocate now; None if unknown.

    The use of a group includes files that it read or wrote lately. They count as free here: the kernel can drop them.

    Parameters
    ----------
    root
        Where `proc` and `sys` are.
    """
    lines = _lines(root / "proc/meminfo")
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for group, files in _groups(root):
        limit, used = (next(iter(_lines(group / name)), "") for name in (files.limit, files.used))
        if limit.isdecimal() and used.isdecimal():
            stat = dict(line.split() for line in _lines(group / "memory.stat"))
            free.append(max(int(limit) - int(used) + int(stat.get(files.droppable, 0)), 0))
    return min(free, default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Yield the folder of each group that this process is in, and those around it.

    In a container the path may be that of the host, and the container's own group the root.
    """
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", maxsplit=2)
        for controller in _VERSIONS.keys() & controllers.split(","):
            names = Path(path).parts[1:]
            for depth in range(len(names) + 1):
                yield Path(root / "sys/fs/cgroup", controller, *names[:depth]), _VERSIONS[controller]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
