"""CPU time of processes, of those that they started, and of the whole machine, as `/proc` counts it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Self

__all__ = ["PROC", "Machine", "family_cpu_s", "process_cpu_s"]

PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM = 1, 11, 12, 13, 14
"""Places in `/proc/PID/stat` behind the name of the process."""


class Machine(NamedTuple):
    """CPU seconds of all cores since the machine started, from the first line of `/proc/stat`."""

    busy_s: float
    """In processes: user, nice and system. Guests of this machine are in it, for user and nice contain them."""
    interrupts_s: float
    """In hardware and software interrupts. Some of them serve this benchmark, for example its network traffic."""
    stolen_s: float
    """Steal: cores that other guests of the host had while this machine wanted them."""
    capacity_s: float
    """All of it, idle time included. A core that waits for a disk is idle: another process could have it."""

    @classmethod
    def now(cls, proc: Path = PROC) -> Self:
        """Read the counters.

        Raises
        ------
        OSError
            If there is no `/proc/stat`.
        ValueError
            If it does not count, as in some sandboxes.
        """
        first = (proc / "stat").read_text().partition("\n")[0].split()
        user, nice, system, idle, wait, irq, softirq, steal, *_ = (int(ticks) / _TICKS_PER_S for ticks in first[1:])
        busy_s, interrupts_s = user + nice + system, irq + softirq
        capacity_s = busy_s + interrupts_s + steal + idle + wait
        if first[0] != "cpu" or not capacity_s:
            raise ValueError(f"{proc / 'stat'} does not count CPU time: {' '.join(first)}")
        return cls(busy_s, interrupts_s, steal, capacity_s)


def process_cpu_s(process: int | str, proc: Path = PROC) -> float:
    """Return user and system time of one process, that of the ended children it waited for included; 0 once gone."""
    fields = _fields(process, proc)
    return 0.0 if fields is None else _ticks(fields) / _TICKS_PER_S


def family_cpu_s(also: Iterable[int] = (), proc: Path = PROC) -> float:
    """Return user and system time of this process, of all below it and of all below others that it names.

    Children that have ended count with the parent that waited for them. A process whose parent ended before it has
    left the family, unless it is named.
    """
    found = {int(path.name): _fields(path.name, proc) for path in proc.iterdir() if path.name.isdigit()}
    living = {process: fields for process, fields in found.items() if fields is not None}
    children: dict[int, list[int]] = {}
    for process, fields in living.items():
        children.setdefault(int(fields[_PARENT]), []).append(process)
    family: set[int] = set()
    left = [os.getpid(), *also]
    while left:
        process = left.pop()
        if process in living and process not in family:
            family.add(process)
            left += children.get(process, [])
    return sum(_ticks(living[process]) for process in family) / _TICKS_PER_S


def _fields(process: int | str, proc: Path) -> list[str] | None:
    """Return what `/proc/PID/stat` says behind the name, which may hold spaces; None if the process is gone."""
    try:
        return (proc / str(process) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _ticks(fields: list[str]) -> int:
    return sum(int(fields[place]) for place in (_USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM))
