"""The protocol for parallel calls, for rooms that do not know the threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["ParallelMap"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ParallelMap(Protocol):
    """Like `map`: results come in the order of the items, as does the first error.

    Calls may run in any order and in several threads. Calls for items after an error may be left out.
    """

    def __call__(self, function: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
        """Apply a function to every item."""
        ...
