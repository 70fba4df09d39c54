"""The limit of object storage: range GETs of s3fs alone, with which nothing is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import fsspec
from fsspec.asyn import sync

from actstore.access.s3 import once
from actstore.access.storage_options import fsspec_options

__all__ = ["MOST_CONNECTIONS", "PlainReader", "Range", "cut", "merged"]

MOST_CONNECTIONS: Final = 64
"""More than any of the ranges in flight."""


class Range(NamedTuple):
    """Bytes of an object."""

    path: str
    start: int
    stop: int


def merged(ranges: Sequence[Range]) -> list[Range]:
    """Return the same bytes, each once, in as few ranges as possible.

    Examples
    --------
    >>> merged([Range("a", 4, 8), Range("a", 0, 4), Range("b", 0, 2), Range("a", 4, 6), Range("a", 9, 12)])
    [Range(path='a', start=0, stop=8), Range(path='a', start=9, stop=12), Range(path='b', start=0, stop=2)]
    """
    found: list[Range] = []
    for path, of_path in groupby(sorted(ranges), key=lambda one: one.path):
        for _, start, stop in of_path:
            if found and found[-1].path == path and start <= found[-1].stop:
                found[-1] = found[-1]._replace(stop=max(stop, found[-1].stop))
            else:
                found.append(Range(path, start, stop))
    return found


def cut(ranges: Sequence[Range], most_bytes: int) -> list[Range]:
    """Return the same bytes in ranges of at most so many.

    Examples
    --------
    >>> cut([Range("a", 2, 7)], 3)
    [Range(path='a', start=2, stop=5), Range(path='a', start=5, stop=7)]
    """
    return [
        Range(path, begin, min(begin + most_bytes, stop))
        for path, start, stop in ranges
        for begin in range(start, stop, most_bytes)
    ]


class PlainReader:
    """Range GETs of s3fs, set up as ours is, all at once and in any order; nothing is done with the bytes."""

    def __init__(self, setting: dict[str, Any]) -> None:
        options = setting["storage_options"] | {"max_pool_connections": MOST_CONNECTIONS}
        self._fs = fsspec.filesystem("s3", **once(fsspec_options(setting["uri"], options)))
        self._root = setting["uri"]

    def read(self, ranges: Sequence[Range], in_flight: int) -> Callable[[], None]:
        """Return what reads ranges, so many at a time."""
        mixed = list(ranges)
        random.Random(0).shuffle(mixed)  # noqa: S311 - no secret

        def read() -> None:
            found = sync(self._fs.loop, self._read, mixed, in_flight)
            if found != sum(stop - start for _, start, stop in mixed):
                raise ValueError(f"{found:,} bytes arrived")

        return read

    async def _read(self, ranges: Sequence[Range], in_flight: int) -> int:
        left = iter(ranges)
        return sum(await asyncio.gather(*(self._take(left) for _ in range(in_flight))))

    async def _take(self, left: Iterator[Range]) -> int:
        found = 0
        for path, start, stop in left:
            found += len(await self._fs._cat_file(f"{self._root}/{path}", start=start, end=stop))  # noqa: SLF001
        return found
