"""Which tasks one of several independent processes does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from actstore.errors import UsageError

__all__ = ["Share", "parse_share"]

_SHARE: Final = re.compile(r"([0-9]+)/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Share:
    """Share `number` of `shares`, counted from 1: every `shares`-th task.

    Examples
    --------
    >>> [task for task in range(10) if task in Share(3, 4)]
    [2, 6]
    """

    number: int
    shares: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.shares:
            raise UsageError(f"share {self.number} of {self.shares}: shares are counted from 1 to their number")

    def __contains__(self, task: int) -> bool:
        return task % self.shares == self.number - 1


def parse_share(text: str) -> Share:
    """Parse ``3/16``.

    Raises
    ------
    UsageError
        If the text is not a share.

    Examples
    --------
    >>> parse_share("3/16")
    Share(number=3, shares=16)
    """
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--shard-of = {text!r}: give I/N, with I from 1 to N, such as 3/16")
    return Share(int(match[1]), int(match[2]))
