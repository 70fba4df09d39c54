"""A client of the S3 benchmark, in a process of its own: our stream, and plain range GETs of the bytes that it reads.

    python -m benchmarks.contestants.s3_reader SETTING

SETTING is JSON: uri, storage_options, sites, batch_rows, buffer_bytes. Speaks JSON, one line for each answer, on
standard output, and hears what to read on standard input, one line for each measurement.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import fsspec
from fsspec.asyn import sync

from actstore.access.s3 import S3Objects, once
from actstore.access.storage_options import fsspec_options
from actstore.stream import open as stream_open
from actstore.stream.stream import Stream

__all__ = ["PlainReader", "Range", "StreamReader", "cut", "main", "merged"]

_MOST_CONNECTIONS: Final = 64
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


class StreamReader:
    """Our stream as it comes, but for the reads in flight where a measurement says so."""

    def __init__(self, setting: dict[str, Any]) -> None:
        self._setting = setting
        self._streams: dict[int | None, Stream] = {}
        self.rows = 0
        """Rows of the last epoch."""

    def ranges(self) -> list[Range]:
        """Return what an epoch reads, once nothing is read for the first time any more."""
        stream = self._open(None)
        found: list[Range] = []
        read_into = S3Objects._read_into  # noqa: SLF001 - where every read goes through

        def note(objects: S3Objects, path: str, start: int, into: memoryview) -> int:
            found.append(Range(path, start, start + len(into)))
            return read_into(objects, path, start, into)

        with patch.object(S3Objects, "_read_into", note):
            self._epoch(stream)
        return found

    def epoch(self, in_flight: int | None) -> Callable[[], None]:
        """Return what reads an epoch, from a stream that is warm."""
        stream = self._open(in_flight)
        return lambda: self._epoch(stream)

    def close(self) -> None:
        """Close the streams."""
        for stream in self._streams.values():
            stream.close()

    def _epoch(self, stream: Stream) -> None:
        self.rows = sum(len(batch.row_B) for batch in stream)
        if self.rows != stream.rows:
            raise ValueError(f"an epoch of {stream.rows} rows delivered {self.rows}")

    def _open(self, in_flight: int | None) -> Stream:
        if in_flight not in self._streams:
            self.close()
            setting = self._setting
            with _reads_in_flight(in_flight):
                stream = stream_open.open_stream(
                    setting["uri"],
                    sites=setting["sites"],
                    batch_rows=setting["batch_rows"],
                    buffer_bytes=setting["buffer_bytes"],
                    storage_options=setting["storage_options"]
                    | ({} if in_flight is None else {"max_pool_connections": _MOST_CONNECTIONS}),
                )
            self._streams = {in_flight: stream}
            self._epoch(stream)
        return self._streams[in_flight]


class PlainReader:
    """Range GETs of s3fs, set up as ours is, all at once and in any order; nothing is done with the bytes."""

    def __init__(self, setting: dict[str, Any]) -> None:
        options = setting["storage_options"] | {"max_pool_connections": _MOST_CONNECTIONS}
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


@contextmanager
def _reads_in_flight(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    with patch.object(stream_open, "_REMOTE_THREADS", count):
        yield


def _measure(act: Callable[[], None], size: int) -> dict[str, Any]:
    cpu_before, began = _cpu_s(), time.perf_counter()
    act()
    seconds = time.perf_counter() - began
    return {"bytes": size, "seconds": seconds, "client_cpu_s": _cpu_s() - cpu_before}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Serve measurements until the end of standard input.

    `{"stream": null}` is an epoch of our stream, `{"stream": 8}` with other reads in flight; `{"plain": 8}` are the
    same ranges, eight at a time, and with `"range_bytes"` the same bytes in ranges of that size.
    """
    setting = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    stream, plain = StreamReader(setting), PlainReader(setting)
    ranges = stream.ranges()
    size = sum(stop - start for _, start, stop in ranges)
    print(json.dumps({"requests": len(ranges), "bytes": size, "rows": stream.rows}), file=answers)
    for line in sys.stdin:
        wanted = json.loads(line)
        if "stream" in wanted:
            act = stream.epoch(wanted["stream"])
        elif (range_bytes := wanted.get("range_bytes")) is not None:
            act = plain.read(cut(merged(ranges), range_bytes), wanted["plain"])
        else:
            act = plain.read(ranges, wanted["plain"])
        print(json.dumps(_measure(act, size)), file=answers)
    stream.close()


if __name__ == "__main__":
    main()
