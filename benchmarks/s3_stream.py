"""Our stream from a real S3 server beside plain range GETs of the same bytes with the same library, in turns.

A RADOS Gateway runs on this machine and keeps a store in memory, once in float16 and once in int8 packed with zstd.
The limit is s3fs itself, which gets the ranges that an epoch of the stream reads and does nothing with them: with the
best of several numbers of ranges in flight. The stream checks, unpacks, shuffles and decodes them to float32 batches.
For information, the same bytes in larger ranges: what a stream that mixes less could get. All of it directly, and over
20 ms, as far as a bucket may be.

Client, server and proxy share the cores, so that what counts is the CPU time that both sides take for a gigabyte.

    python -m benchmarks.s3_stream [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from actstore.view.progress import terminal_progress
from benchmarks.contestants.contract import site_name
from benchmarks.contestants.lines import LineProcess
from benchmarks.data.s3_service import FULL, QUICK, STORES, Service, Sizes, serving
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["CASES", "Case", "compare", "main", "run", "summary"]

Record = dict[str, Any]

_READER: Final = "benchmarks.contestants.s3_reader"
_PACKAGES: Final = ("s3fs", "fsspec", "aiobotocore", "aiohttp", "botocore")
_LATENCY_S: Final = 0.02
_IN_FLIGHT: Final = (1, 4, 8, 16, 32)
_STREAM_IN_FLIGHT: Final = (4, 8, 16, 32)
_LARGER_BYTES: Final = (2 << 20, 4 << 20, 8 << 20)


class Case(NamedTuple):
    """What is read, and over which way."""

    store: str
    sites: int
    latency_s: float
    fills: int
    """Of an epoch; the size of the buffer."""


CASES: Final[Mapping[str, Case]] = {
    "float16_large_windows": Case("float16", 1, 0.0, fills=4),
    "float16": Case("float16", 2, 0.0, fills=8),
    "int8_zstd": Case("int8_zstd", 2, 0.0, fills=4),
    "float16_20ms": Case("float16", 2, _LATENCY_S, fills=8),
    "int8_zstd_20ms": Case("int8_zstd", 2, _LATENCY_S, fills=4),
}
"""Of so many fills that windows have 512 rows, 1 MiB of a site; then 256; and 512 rows of int8, 470 KB packed."""


def run(
    folder: Path,
    sizes: Sizes,
    *,
    rounds: int,
    names: Sequence[str] = tuple(CASES),
    servers: Callable[[Sequence[int]], AbstractContextManager[object]] = nullcontext,
) -> Record:
    """Measure everything and return the results.

    Parameters
    ----------
    folder
        Empty; for the gateway's files.
    sizes
        Of the store.
    rounds
        Comparisons of each case.
    names
        Cases.
    servers
        Is told which processes serve, for as long as they are used.
    """
    with serving(folder, sizes, progress=terminal_progress()) as service, servers(service.processes()):
        cases = {name: compare(service, sizes, CASES[name], name=name, rounds=rounds) for name in names}
    return {
        "ratios": {name: case["ratio"] for name, case in cases.items()},
        "ratios_over_larger_ranges": {name: case["ratio_over_larger_ranges"] for name, case in cases.items()},
        "versions": {package: version(package) for package in _PACKAGES} | {"ceph": _ceph()},
        "shared_by": "client, gateway and its storage daemon, and the proxy where there is latency share the cores",
        "rounds": rounds,
        "rows": sizes.rows,
        "width": sizes.width,
        "cases": cases,
    }


def compare(service: Service, sizes: Sizes, case: Case, *, name: str, rounds: int) -> Record:
    """Find the best of the plain ways, then compare it with the stream in turns."""
    row_bytes = case.sites * (sizes.width * (2 if STORES[case.store][0] == "float16" else 1) + 2) + 32
    setting = {
        "uri": service.uri(case.store),
        "storage_options": service.options(latency_s=case.latency_s),
        "sites": [site_name(site) for site in range(case.sites)],
        "batch_rows": sizes.batch_rows,
        "buffer_bytes": 2 * row_bytes * sizes.rows // case.fills,
    }
    with _Reader([_READER, json.dumps(setting)], name=name) as reader:
        own = _sweep(reader, [{"plain": count} for count in _IN_FLIGHT])
        best = json.loads(next(iter(own)))
        larger = _sweep(reader, [best | {"range_bytes": size} for size in _LARGER_BYTES])
        streams = _sweep(reader, [{"stream": count} for count in _STREAM_IN_FLIGHT])
        contest = {"stream": {"stream": None}, "plain": best, "larger": json.loads(next(iter(larger)))}
        measured: list[dict[str, Record]] = []
        for number in range(rounds):
            order = list(contest)
            first = number % len(order)
            measured.append({who: reader.measure(contest[who], service) for who in order[first:] + order[:first]})
            rates = (f"{who} {_rate(one) / 1e6:.0f} MB/s" for who, one in measured[-1].items())
            _say(f"{name}: {', '.join(rates)}")
    return {
        **case._asdict(),
        "buffer_bytes": setting["buffer_bytes"],
        **reader.opened,
        "plain_bytes_per_s": own,
        "larger_bytes_per_s": larger,
        "stream_bytes_per_s": streams,
        **summary(measured),
    }


def _sweep(reader: _Reader, ways: Sequence[Record]) -> dict[str, float]:
    """Return bytes/s of each way, the fastest first: the better of two measurements."""
    found = dict.fromkeys(map(json.dumps, ways), 0.0)
    for _ in range(2):
        for way in ways:
            found[json.dumps(way)] = max(found[json.dumps(way)], _rate(reader.measure(way)))
    return {key: found[key] for key in sorted(found, key=lambda key: -found[key])}


def summary(measured: Sequence[Mapping[str, Record]]) -> Record:
    """Return the medians over rounds, and how far the ratios of single rounds lie apart."""
    ratios = [_rate(one["stream"]) / _rate(one["plain"]) for one in measured]
    over_larger = [_rate(one["stream"]) / _rate(one["larger"]) for one in measured]
    found: Record = {
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "most_ratio": max(ratios),
        "ratio_over_larger_ranges": statistics.median(over_larger),
    }
    for who in ("stream", "plain", "larger"):
        records = [one[who] for one in measured]
        found[who] = {"bytes_per_s": statistics.median(_rate(record) for record in records)}
        for side in ("client", "server"):
            used = (record[f"{side}_cpu_s"] / record["bytes"] * 1e9 for record in records)
            found[who][f"{side}_cpu_s_per_gb"] = statistics.median(used)
    return found | {"measured": list(measured)}


class _Reader(LineProcess):
    """A process of `s3_reader`."""

    def measure(self, way: Record, service: Service | None = None) -> Record:
        before = service.cpu_s() if service else 0.0
        answer: Record = self.ask(json.dumps(way))
        return answer | ({"server_cpu_s": service.cpu_s() - before} if service else {})


def _rate(record: Record) -> float:
    rate: float = record["bytes"] / record["seconds"]
    return rate


def _ceph() -> str:
    said = subprocess.run(["radosgw", "--version"], check=True, capture_output=True, text=True).stdout
    return said.split()[2]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark and write `benchmarks/results/s3_stream.json`; what is not complete is only printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="4,096 rows of 32 features, to see that everything runs")
    parser.add_argument("--only", help="cases, separated by commas")
    add_look_only(parser)
    options = parser.parse_args()
    recording = Recording("s3_stream", look_only=options.no_write or options.quick or bool(options.only))
    with tempfile.TemporaryDirectory(prefix="s3-stream-") as folder:
        results = run(
            Path(folder),
            QUICK if options.quick else FULL,
            rounds=options.rounds,
            names=options.only.split(",") if options.only else tuple(CASES),
            servers=recording.watch.servers,
        )
    recording.finish(results, long=("cases",))


if __name__ == "__main__":
    main()
