"""Our stream beside its peers and the limits of the machine: same rows, same stored order, same buffer, in one run.

Every contestant has a process of its own, which first finds the fastest of its variants and checks every row of an
epoch against the flat file. Then come the rounds: contestants take turns, in an order that is rotated, each for as
many whole epochs as pass a second. All are warm: buffers allocated, files in the page cache. A measurement for which
files were fetched from storage is made again, once; `storage_read_bytes` says whether that helped.

The rows are `SyntheticActivations`: 200,000 of 700 proteins at 6 sites of 1,024 features. Contestants that are slow, or
that need a copy of their own, get the first tasks of them where the table says so; what is expected of their mixing is
worked out for those rows.

    python -m benchmarks.stream [--rounds 5] [--annbatch-python build/bench-annbatch/bin/python]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from actstore.stream.mixing import expected_distinct
from benchmarks.contestants.contract import SCALES, WORKLOADS, Setting, Workload
from benchmarks.contestants.process import Process, run_once
from benchmarks.contestants.table import CONTESTANTS
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["ASSISTED_RATIOS", "RATIOS", "compare", "main", "ratios", "run"]

Record = dict[str, Any]

_BUILD: Final = Path(__file__).resolve().parents[1] / "build"
OURS: Final = tuple(name for name in CONTESTANTS if name.startswith("actstore"))
_COLD_BYTES_PER_ROW: Final = 64
"""Of at least a thousand: 3 % and more of what was read came from storage."""
_NOBODY: Final[Record] = {"contestants": {}}
RATIOS: Final = {
    "one_site_over_zarrs": ("one_site", "actstore", "zarrs_plain"),
    "one_site_over_litdata_blocks": ("one_site", "actstore", "litdata_blocks_plain"),
    "one_site_over_annbatch": ("one_site", "actstore", "annbatch"),
    "one_site_over_ram_gather": ("one_site", "actstore", "ram_gather"),
    "uniform_one_site_over_ram_gather": ("one_site", "actstore_uniform", "ram_gather"),
    "int8_one_site_over_zarrs": ("one_site", "actstore_int8", "zarrs_plain"),
    "one_site_over_reuse": ("one_site", "actstore", "actstore_reuse"),
    "uniform_one_site_over_reuse": ("one_site", "actstore_uniform", "actstore_uniform_reuse"),
    "six_sites_over_reuse": ("six_sites", "actstore", "actstore_reuse"),
    "six_sites_over_ram_gather": ("six_sites", "actstore", "ram_gather"),
    "six_sites_over_zarrs": ("six_sites", "actstore", "zarrs_plain"),
    "six_sites_over_litdata_blocks": ("six_sites", "actstore", "litdata_blocks_plain"),
    "six_sites_over_annbatch": ("six_sites", "actstore", "annbatch"),
}
"""Median rows/s of the second over that of the third: peers as they are, all delivering float32."""
_ASSISTED: Final = {"zarrs_plain": "zarrs", "litdata_blocks_plain": "litdata_blocks", "annbatch": "annbatch_float16"}
ASSISTED_RATIOS: Final = {
    name: (workload, ours, _ASSISTED[peer]) for name, (workload, ours, peer) in RATIOS.items() if peer in _ASSISTED
}
"""The same over peers that read into our reused buffers and gather as we do; annbatch is let off the float32."""


def run(
    folder: Path,
    scale: str,
    *,
    rounds: int,
    seed: int = 0,
    names: Sequence[str] = tuple(CONTESTANTS),
    workload_names: Sequence[str] = WORKLOADS,
    annbatch_python: Path | None = None,
) -> Record:
    """Measure everything and return the results.

    Parameters
    ----------
    folder
        Where the rows are written, 20 GB at full scale; what is there already is used again.
    scale
        `full` or `quick`.
    rounds
        Measurements of each contestant.
    names
        Contestants that take part.
    workload_names
        Workloads that are measured.
    annbatch_python
        The interpreter that has annbatch; None for our own.
    """
    run_once(["benchmarks.data.stream_rows", str(folder), scale, str(seed)], log=sys.stderr)
    sizes = SCALES[scale]
    workloads: dict[str, Record] = {}
    for name in workload_names:
        setting = Setting(folder, sizes, Workload.of(name, sizes), seed)
        workloads[name] = compare(setting, scale, rounds=rounds, names=names, annbatch_python=annbatch_python)
    trainer = json.loads(run_once(["benchmarks.contestants.trainer", str(folder), scale, str(seed)], log=sys.stderr))
    return {
        "ratios": {**ratios(workloads, RATIOS), **_mixing(workloads)},
        "ratios_over_assisted_peers": ratios(workloads, ASSISTED_RATIOS),
        "trainer_wait_share": trainer["wait_share"],
        "reader_memory_beyond_buffer_bytes": _memory_beyond_buffer(workloads),
        "trainer": trainer,
        "scale": scale,
        "rounds": rounds,
        "workloads": workloads,
    }


def compare(
    setting: Setting, scale: str, *, rounds: int, names: Sequence[str], annbatch_python: Path | None = None
) -> Record:
    """Run all contestants on one workload, in turns."""
    workload = setting.workload
    records: dict[str, Record] = {}
    measured: dict[str, list[Record]] = {}
    with ExitStack() as running:
        processes: dict[str, Process] = {}
        for name in names:
            entry = CONTESTANTS[name]
            python = annbatch_python if entry.module == "contestants.annbatch" else None
            process = Process.prepared(name, setting, scale, python=python)
            if isinstance(process, str):
                _say(f"{workload.name}: {name}: {process}")
                records[name] = {"title": entry.title, "absent": process}
                continue
            processes[name] = running.enter_context(process)
            records[name] = {"title": entry.title, **process.opened}
            _say(f"{workload.name}: {name}: open, exactly once: {process.opened['exactly_once']}")
        order = list(processes)
        for number in range(rounds):
            first = number * len(order) // rounds
            for name in order[first:] + order[:first]:
                measured.setdefault(name, []).append(_measure_warm(processes[name]))
                rate = measured[name][-1]["rows_per_s"]
                _say(f"{workload.name}: round {number + 1} of {rounds}: {name}: {rate:,.0f} rows/s")
        for name, process in processes.items():
            records[name] |= process.finish()
    for name, rounds_of_it in measured.items():
        records[name] |= _summary(rounds_of_it, _uniform_distinct(setting, records[name]["rows"]))
    return {
        "sites": workload.sites,
        "width": workload.width,
        "rows": workload.rows,
        "batch_rows": workload.batch_rows,
        "buffer_bytes": workload.buffer_bytes,
        "contestants": records,
    }


def _measure_warm(process: Process) -> Record:
    """Measure; once more if files had to be fetched from storage, which they then are not again.

    Returns
    -------
    dict
        The measurement, and as `cold` whether there was one before it.
    """
    measured = process.measure()
    cold: bool = measured["storage_read_bytes"] > _COLD_BYTES_PER_ROW * measured["rows"]
    return {**(process.measure() if cold else measured), "cold": cold}


def _uniform_distinct(setting: Setting, rows: int) -> float:
    """Return how many sequences a batch has on average under a uniform shuffle of the first rows."""
    rows_by_sequence = np.bincount(setting.sequence_N()[:rows])
    return expected_distinct(np.bincount(rows_by_sequence), setting.workload.batch_rows)


def _summary(measured: Sequence[Record], uniform: float) -> Record:
    """Return medians and extremes over rounds, and what each round gave."""
    rates = [record["rows_per_s"] for record in measured]
    distinct = [record["distinct_per_batch"] for record in measured if record["distinct_per_batch"] is not None]
    once = [record["exactly_once"] for record in measured if record["exactly_once"] is not None]
    return {
        "rows_per_s": statistics.median(rates),
        "least_rows_per_s": min(rates),
        "most_rows_per_s": max(rates),
        "cpu_s_per_million_rows": statistics.median(record["cpu_s_per_million_rows"] for record in measured),
        "distinct_per_batch": statistics.fmean(distinct) if distinct else None,
        "distinct_uniform": uniform if distinct else None,
        "mixing": statistics.fmean(distinct) / uniform if distinct else None,
        "exactly_once_in_rounds": all(once) if once else None,
        "storage_read_bytes": max(record["storage_read_bytes"] for record in measured),
        "rounds": measured,
    }


def ratios(workloads: Mapping[str, Record], wanted: Mapping[str, tuple[str, str, str]]) -> dict[str, float | None]:
    """Return the ratios of medians, by workload, ours and the other; None where somebody is missing."""
    found: dict[str, float | None] = {}
    for key, (workload, *names) in wanted.items():
        contestants = workloads.get(workload, _NOBODY)["contestants"]
        ours, other = (contestants.get(name, {}).get("rows_per_s") for name in names)
        found[key] = ours / other if ours and other else None
    return found


def _mixing(workloads: Mapping[str, Record]) -> dict[str, float | None]:
    """Return the distinct sequences of a batch of our default stream over those of a uniform shuffle."""
    return {
        f"mixing_{name}": workloads.get(name, _NOBODY)["contestants"].get("actstore", {}).get("mixing")
        for name in WORKLOADS
    }


def _memory_beyond_buffer(workloads: dict[str, Record]) -> int | None:
    """Return the most anonymous memory of any of our streams beyond its imports and its buffer."""
    beyond = [
        record["peak_anonymous_bytes"] - (workload["buffer_bytes"] if record["holds_buffer"] else 0)
        for workload in workloads.values()
        for name, record in workload["contestants"].items()
        if name in OURS and "absent" not in record
    ]
    return max(beyond, default=None)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark and write `benchmarks/results/stream.json`; what is not complete is only printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="6,000 rows of 32 features, to see that everything runs")
    parser.add_argument("--only", help="contestants, separated by commas")
    parser.add_argument("--workload", choices=WORKLOADS, help="only this one")
    parser.add_argument("--folder", type=Path, help="keep the rows here (20 GB), and use them again")
    parser.add_argument("--annbatch-python", type=Path, help="the interpreter that has annbatch, if another")
    add_look_only(parser)
    options = parser.parse_args()
    part = options.quick or bool(options.only) or bool(options.workload)
    recording = Recording("stream", look_only=options.no_write or part)
    names = options.only.split(",") if options.only else tuple(CONTESTANTS)
    _BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_BUILD, prefix="stream-") as scratch:  # not /tmp, which may be memory
        results = run(
            options.folder or Path(scratch),
            "quick" if options.quick else "full",
            rounds=options.rounds,
            names=names,
            workload_names=(options.workload,) if options.workload else WORKLOADS,
            annbatch_python=options.annbatch_python,
        )
    recording.finish(results, long=("workloads",))


if __name__ == "__main__":
    main()
