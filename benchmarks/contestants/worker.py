"""One contestant in a process of its own: opens it, checks every row of an epoch, then measures when told to.

    python -m benchmarks.contestants.worker NAME WORKLOAD FOLDER SCALE SEED prepare|contest

Speaks JSON, one line for each answer, on standard output, and hears `measure` or `finish` on standard input.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import threading
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants.contract import SCALES, Contestant, Delivered, Scale, Setting, Variant, Workload
from benchmarks.contestants.lines import answers_to_parent
from benchmarks.contestants.table import CONTESTANTS, open_contestant, prepare_contestant
from benchmarks.recording.processes import process_cpu_s

__all__ = ["MemoryPeak", "Probe", "choose_variant", "main", "measure"]

_PROBES: Final = 16
_TOLERANCE: Final = 0.05
"""Largest error of a row that was int8, in deviations of the channel; unequal rows differ by more than 1."""
_SAMPLE_S: Final = 0.005
_TRIAL_S: Final = 0.2


class MemoryPeak:
    """The largest anonymous memory of this process, sampled in a thread; mapped files are not in it."""

    def __init__(self) -> None:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.bytes = max(self.bytes, memory("RssAnon"))
            if self._stop.wait(_SAMPLE_S):
                return


def memory(field: str) -> int:
    """Return a field of `/proc/self/status`, such as `RssAnon` or `VmHWM`, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)


class Probe:
    """Compares sixteen values of every row of an epoch with the flat file, and counts the rows.

    A row that claims to be row n is row n: where no two rows agree in all probed columns, as with random activations,
    and each row was claimed once, each row was delivered once.
    """

    def __init__(self, setting: Setting, contestant: Contestant) -> None:
        self._flat_NX = setting.flat()
        self._column_P = np.linspace(0, setting.workload.columns - 1, _PROBES).astype(np.int64)
        self._rows = contestant.rows
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def see(self, batch: Delivered) -> None:
        """Keep what is needed of a batch."""
        if batch.row_B is not None:
            values_BX = np.asarray(batch.values_BX).reshape(len(batch.row_B), -1)
            self._parts.append((np.array(batch.row_B), values_BX[:, self._column_P].astype(np.float32)))

    def result(self) -> dict[str, Any]:
        """Return whether every row came once, and the largest error in deviations of the channel."""
        if not self._parts:
            return {"exactly_once": None, "largest_error": None}
        row_N = np.concatenate([row_B for row_B, _ in self._parts])
        probe_NP = np.concatenate([probe_BP for _, probe_BP in self._parts])
        stored_NP = self._flat_NX[: self._rows, self._column_P].astype(np.float32)
        distinct = len(np.unique(stored_NP, axis=0)) == len(stored_NP)
        error_NP = np.abs(probe_NP - stored_NP[row_N]) / stored_NP.std(axis=0)
        return {
            "exactly_once": distinct and once(row_N, self._rows) and bool(error_NP.max() <= _TOLERANCE),
            "largest_error": float(error_NP.max()),
        }


def once(row_N: NDArray[np.int64], rows: int) -> bool:
    """Say whether these are rows 0 to `rows`, each once."""
    return len(row_N) == rows and bool((np.bincount(row_N, minlength=rows) == 1).all())


def choose_variant(contestant: Contestant) -> dict[str, float]:
    """Try the variants of a contestant twice each, take the fastest, and return rows/s of all, by variant."""
    variants = {json.dumps(variant): variant for variant in contestant.variants}
    rate = dict.fromkeys(variants, 0.0)
    for trial in range(2 if len(variants) > 1 else 0):
        for name, variant in variants.items():
            contestant.use(variant)
            rate[name] = max(rate[name], _trial(contestant, trial))
    best = max(rate, key=lambda name: rate[name])
    contestant.use(variants[best])
    return {name: rate[name] for name in sorted(rate, key=lambda name: -rate[name])}


def _trial(contestant: Contestant, number: int) -> float:
    started, rows = time.perf_counter(), 0
    epoch = contestant.epoch(number)
    for batch in epoch:
        rows += len(batch.values_BX)
        if time.perf_counter() - started > _TRIAL_S:
            break
    seconds = time.perf_counter() - started
    epoch.close()
    return rows / seconds


def measure(contestant: Contestant, setting: Setting, *, epoch: int) -> dict[str, Any]:
    """Run whole epochs from number `epoch` on, for at least the scale's `min_seconds`.

    Returns
    -------
    dict
        epochs, rows, seconds, rows_per_s, cpu_s_per_million_rows, storage_read_bytes (0 where the page cache held
        everything), distinct_per_batch (mean over full batches; None without row ids), exactly_once (by row id).
    """
    gc.collect()
    epochs: list[list[NDArray[np.int64]]] = []
    rows = 0
    read_before, cpu_before, started = storage_bytes(), cpu_seconds(), time.perf_counter()
    while not epochs or time.perf_counter() - started < setting.scale.min_seconds:
        parts: list[NDArray[np.int64]] = []
        for batch in contestant.epoch(epoch + len(epochs)):
            rows += len(batch.values_BX)
            if batch.row_B is not None:
                parts.append(np.array(batch.row_B))
        epochs.append(parts)
    seconds, cpu_s, read = time.perf_counter() - started, cpu_seconds() - cpu_before, storage_bytes() - read_before
    sequence_N = setting.sequence_N()
    full = [row_B for parts in epochs for row_B in parts if len(row_B) == setting.workload.batch_rows]
    return {
        "epochs": len(epochs),
        "rows": rows,
        "seconds": seconds,
        "rows_per_s": rows / seconds,
        "cpu_s_per_million_rows": cpu_s / rows * 1e6,
        "storage_read_bytes": read,
        "distinct_per_batch": float(np.mean([len(np.unique(sequence_N[row_B])) for row_B in full])) if full else None,
        "exactly_once": all(once(np.concatenate(parts), contestant.rows) for parts in epochs) if full else None,
    }


def cpu_seconds() -> float:
    """Return user and system time of this process, its finished children and those that are running."""
    ended = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    children = (child for listed in Path("/proc/self/task").glob("*/children") for child in listed.read_text().split())
    return ended + sum(map(process_cpu_s, children))


def storage_bytes() -> int:
    """Return the bytes that this process has had fetched from storage."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["read_bytes"])


def main() -> None:
    """Serve one contestant until `finish`, or the end of standard input."""
    name, workload, folder, scale_name, seed, task = sys.argv[1:]
    answers = answers_to_parent()
    warnings.simplefilter("ignore")  # peers have many to give
    scale: Scale = SCALES[scale_name]
    setting = Setting(Path(folder), scale, Workload.of(workload, scale), int(seed))
    entry = CONTESTANTS[name]
    try:
        versions = {package: version(package) for package in entry.packages}
        for package in entry.packages:
            importlib.import_module(package)
        if task != "prepare" or entry.own_rows:
            importlib.import_module(f"benchmarks.{entry.module}")
    except ModuleNotFoundError as error:
        print(json.dumps({"absent": f"not installed: {error.name}"}), file=answers)
        return
    if task == "prepare":
        prepare_contestant(name, setting)
        print(json.dumps({"prepared": True}), file=answers)
        return
    imported = memory("RssAnon")
    with MemoryPeak() as peak:
        contestant = open_contestant(name, setting)
        tried = choose_variant(contestant)
        probe = Probe(setting, contestant)
        for batch in contestant.epoch(0):
            probe.see(batch)
    chosen: Variant = json.loads(next(iter(tried)))
    opened = {
        "rows": contestant.rows,
        "versions": versions,
        "variant": chosen,
        "tried_rows_per_s": tried if len(tried) > 1 else {},
        **probe.result(),
        "holds_buffer": contestant.holds_buffer,
        "peak_anonymous_bytes": peak.bytes - imported,
    }
    print(json.dumps(opened), file=answers)
    epoch = 1
    for line in sys.stdin:
        if line.strip() == "finish":
            break
        measured = measure(contestant, setting, epoch=epoch)
        epoch += measured["epochs"]
        print(json.dumps(measured), file=answers)
    final = {"peak_bytes": memory("VmHWM"), "anonymous_bytes_after": memory("RssAnon") - imported}
    contestant.close()
    print(json.dumps(final), file=answers)


if __name__ == "__main__":
    main()
