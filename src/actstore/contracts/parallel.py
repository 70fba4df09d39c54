"""Doing several things at a time, for rooms that do not know what with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["ParallelMap"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ParallelMap(Protocol):
    """Like `map`: results come in the order of the items, and so does the first error.

    The calls may be made in any order and by several threads, and those behind an error may be left out.
    """

    def __call__(self, function: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
        """Apply a function to every item."""
        ...
