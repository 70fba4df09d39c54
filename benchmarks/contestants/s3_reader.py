"""A client of the S3 benchmark, in a process of its own: our stream, and plain range GETs of the bytes that it reads.

    python -m benchmarks.contestants.s3_reader SETTING

SETTING is JSON: uri, storage_options, sites, batch_rows, buffer_bytes. Speaks JSON, one line for each answer, on
standard output, and hears what to read on standard input, one line for each measurement.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from actstore.access.s3 import S3Objects
from actstore.stream import open as stream_open
from actstore.stream.stream import Stream
from benchmarks.contestants.lines import answers_to_parent
from benchmarks.limits.ranges import MOST_CONNECTIONS, PlainReader, Range, cut, merged

__all__ = ["StreamReader", "main"]


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
                    | ({} if in_flight is None else {"max_pool_connections": MOST_CONNECTIONS}),
                )
            self._streams = {in_flight: stream}
            self._epoch(stream)
        return self._streams[in_flight]


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
    answers = answers_to_parent()
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
