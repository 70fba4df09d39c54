"""The README's tables of numbers, generated from `results/*.json`.

What stands between `<!-- benchmarks:NAME -->` and `<!-- /benchmarks:NAME -->` is replaced.

    python -m benchmarks.tables [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks.report import RESULTS
from benchmarks.scale import table as cost_table

__all__ = [
    "TABLES",
    "extract_table",
    "fidelity_table",
    "main",
    "render",
    "s3_stream_table",
    "scale_table",
    "stream_table",
]

README: Final = Path(__file__).resolve().parents[1] / "README.md"
_SECTION: Final = re.compile(r"(<!-- benchmarks:(\w+) -->\n).*?(<!-- /benchmarks:\2 -->)", re.DOTALL)
_MISSING: Final = "–"

Record = Mapping[str, Any]


def render(text: str, results: Path) -> str:
    """Return a document with the tables of a folder of results in place.

    Raises
    ------
    ValueError
        If the document asks for a table that nobody makes.
    """

    def section(match: re.Match[str]) -> str:
        name = match[2]
        if name not in TABLES:
            raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
        path = results / f"{name}.json"
        body = TABLES[name](json.loads(path.read_text())) if path.exists() else f"Not measured yet: {name}."
        return f"{match[1]}{body}\n{match[3]}"

    return _SECTION.sub(section, text)


def stream_table(results: Record) -> str:
    """Return contestants as rows: both workloads, ours first, then the limits, then the peers by speed."""
    one, six = (results["workloads"][name] for name in ("one_site", "six_sites"))
    uniform = [_first(workload, "distinct_uniform", rows=workload["rows"]) for workload in (one, six)]
    heads = (
        f"{one['rows']:,} rows, {results['rounds']} rounds",
        f"one site, {one['batch_rows']:,} rows a batch: M rows/s",
        "distinct proteins a batch, of uniform",
        f"{six['sites']} sites, {six['batch_rows']:,} rows a batch: k rows/s",
        "distinct, of uniform",
        "CPU s per M rows, one site / six",
        "memory, MB, one site / six",
    )
    names = [name for name in one["contestants"] if "absent" not in one["contestants"][name]]
    peers = [name for name in names if not name.startswith(("actstore", "ram", "memmap", "pread"))]
    speed = {name: one["contestants"][name]["rows_per_s"] for name in peers}
    ordered = [*(name for name in names if name not in peers), *sorted(peers, key=lambda name: -speed[name])]
    lines = [_stream_line(one["contestants"][name], six["contestants"].get(name, {}), one, six) for name in ordered]
    absent = [f"{record['title']} ({record['absent']})" for record in one["contestants"].values() if "absent" in record]
    notes = (
        f"Medians, least to most in brackets. A uniform shuffle gives {uniform[0]:.0f} and {uniform[1]:.0f} distinct "
        f"proteins a batch. Buffers have {one['buffer_bytes'] / 1e6:.0f} and {six['buffer_bytes'] / 1e6:.0f} MB. "
        "Memory is the peak of anonymous memory beyond the imports, buffers and batches included. "
        "An asterisk marks what was measured on the first tasks of the rows alone.\n"
        f"A trainer whose step takes {results['trainer']['step_s'] * 1e3:.0f} ms waits for data for "
        f"{results['trainer_wait_share']:.2%} of its time. {_machine(results)}"
    )
    if absent:
        notes += f"\nAbsent: {', '.join(absent)}."
    return "\n".join([_table(heads, lines), "", notes])


def _stream_line(of_one: Record, of_six: Record, one: Record, six: Record) -> list[str]:
    version = next(iter(of_one.get("versions", {}).values()), None)
    return [
        of_one["title"] + (f" {version}" if version else ""),
        _rate(of_one, one, unit=1e6, digits=2),
        _share(of_one),
        _rate(of_six, six, unit=1e3, digits=0),
        _share(of_six),
        _pair([record.get("cpu_s_per_million_rows") for record in (of_one, of_six)], unit=1.0, digits=1),
        _pair([record.get("peak_anonymous_bytes") for record in (of_one, of_six)], unit=1e6, digits=0),
    ]


def _rate(record: Record, workload: Record, *, unit: float, digits: int) -> str:
    if "rows_per_s" not in record:
        return _MISSING
    median, least, most = (
        f"{record[field] / unit:.{digits}f}" for field in ("rows_per_s", "least_rows_per_s", "most_rows_per_s")
    )
    return f"{median} ({least} to {most})" + ("*" if record["rows"] < workload["rows"] else "")


def _share(record: Record) -> str:
    mixing = record.get("mixing")
    return _MISSING if mixing is None else f"{mixing:.2f}"


def _pair(values: Sequence[float | None], *, unit: float, digits: int) -> str:
    return " / ".join(_MISSING if value is None else f"{value / unit:.{digits}f}" for value in values)


def _first(workload: Record, field: str, *, rows: int) -> float:
    """Return a field of the first contestant that was measured on so many rows."""
    records = workload["contestants"].values()
    value: float = next(record[field] for record in records if record.get(field) and record["rows"] == rows)
    return value


def fidelity_table(results: Record) -> str:
    """Return encodings as rows: bits, signal to noise with outlier channels and of a real model, loss in training."""
    heads = (
        "encoding",
        "bits a value",
        "50x outlier channels: median channel, dB",
        "worst",
        "`esm2-tiny`, least of its sites: median channel, dB",
        "worst",
        "explained variance lost",
    )
    losses = {
        record["encoding"]: record["loss"] for record in results["explained_variance"] if record["data"] == "natural"
    }
    lines = []
    for record in results["noise"]:
        if record["data"] != "outliers":
            continue
        name = record["encoding"]
        natural = [other for other in results["noise"] if other["data"] == "natural" and other["encoding"] == name]
        lines.append(
            [
                name,
                f"{record['bits_per_value']:.2f}",
                *_decibels([record]),
                *_decibels(natural),
                f"{losses[name]:+.4f}" if name in losses else _MISSING,
            ]
        )
    return "\n".join([_table(heads, lines), "", _machine(results)])


def s3_stream_table(results: Record) -> str:
    """Return cases as rows: our stream and plain range GETs of the same ranges, and of larger ones."""
    heads = (
        "store",
        "requests of",
        "stream, MB/s",
        "plain GETs of the same ranges",
        "stream of plain",
        "plain GETs of 2 to 8 MiB",
        "client CPU s/GB, stream / plain",
    )
    lines = []
    for case in results["cases"].values():
        far = f", {case['latency_s'] * 1e3:.0f} ms away" if case["latency_s"] else ""
        lines.append(
            [
                f"{case['store'].replace('_', ', ')}, {case['sites']} site{'s' if case['sites'] > 1 else ''}{far}",
                f"{case['bytes'] / case['requests'] / 1024:.0f} KiB",
                *(f"{case[who]['bytes_per_s'] / 1e6:.0f}" for who in ("stream", "plain")),
                f"{case['ratio']:.2f} ({case['least_ratio']:.2f} to {case['most_ratio']:.2f})",
                f"{case['larger']['bytes_per_s'] / 1e6:.0f}",
                _pair([case[who]["client_cpu_s_per_gb"] for who in ("stream", "plain")], unit=1.0, digits=1),
            ]
        )
    notes = f"Medians of {results['rounds']} rounds in turns, least to most in brackets. {_machine(results)}"
    return "\n".join([_table(heads, lines), "", notes])


_EXTRACT_TITLES: Final = {
    "actstore": "**actstore extract**: all sites to int8, hashed, on disk",
    "forward": "`transformers`' forward passes of the same batches, nothing else",
    "forward_lone": "the same, one thread a pass, several at a time",
    "forward_8192": "the same, in passes of 8,192 tokens",
    "forward_fused": "our passes again, GELU in one step, as we run them",
    "forward_compiled": "the same, with `model.compile`",
    "forward_packed": "the same, several proteins in a row",
    "naive_loop": "`transformers`, batches of 8 in file order, all hidden states, `.pt` a batch",
    "fair_esm_loop": "`transformers` in the loop of fair-esm's `extract.py`: by length, `.pt` a protein",
    "fair_esm": "fair-esm's `extract.py` with its own network",
}
_EXTRACT_PADDING: Final = {
    "forward": "actstore",
    "forward_lone": "actstore",
    "forward_8192": "passes_of_8192",
    "forward_fused": "actstore",
    "forward_compiled": "actstore",
    "forward_packed": "packed",
}

_EXTRACT_RATIOS: Final = {
    "wall_over_forward": "",
    "wall_over_forward_lone": "over one thread a pass ",
    "wall_over_forward_fused": "over the network as we run it ",
}


def extract_table(results: Record) -> str:
    """Return loops as rows: seconds of each model, as a multiple of ours, and the padding of their batches."""
    models = results["models"]
    heads = ["", *(f"{name}, {models[name]['residues']:,} residues: s" for name in models)]
    heads += [*(f"{name}: of ours" for name in models), "padding"]
    first = next(iter(models.values()))
    lines = []
    for name, title in _EXTRACT_TITLES.items():
        if name not in first["seconds"]:  # measured before this contestant came
            continue
        seconds = [model["seconds"][name] for model in models.values()]
        ours = [model["seconds"]["actstore"]["median"] for model in models.values()]
        lines.append(
            [
                title,
                *(_spread(each, digits=1) for each in seconds),
                *(f"{each['median'] / own:.2f}" for each, own in zip(seconds, ours, strict=True)),
                f"{first['padding'][_EXTRACT_PADDING.get(name, name)]:.0%}",
            ]
        )
    walls = "; ".join(
        f"{name} "
        + ", ".join(
            f"{title}{_spread(model['ratios'][ratio])}"
            for ratio, title in _EXTRACT_RATIOS.items()
            if ratio in model["ratios"]
        )
        for name, model in models.items()
    )
    notes = f"Wall time over the bare forward passes, medians of rounds in turns: {walls}. {_machine(results)}"
    return "\n".join([_table(heads, lines), "", notes])


def scale_table(results: Record) -> str:
    """Return what is done to a store as rows, its sizes as columns; below, what a second worker brings."""
    costs = {int(size): steps for size, steps in results["costs"].items()}
    workers = results["workers"]
    brought = ", ".join(
        f"{title} {_spread(workers['ratios'][name])}"
        for title, name in (
            ("two processes with `--shard-of` over one process", "shares_2_over_serial"),
            ("two Dask workers over one", "dask_2_over_dask_1"),
        )
    )
    notes = (
        f"Rows a second of {workers['model']} on two cores, one for each worker: {brought}. {_machine(results)} "
        "A flat cost is about 1 or less: of a task, where there is something to do for each."
    )
    return "\n".join([cost_table(costs), "", notes])


def _spread(of: Record, *, digits: int = 2) -> str:
    return f"{of['median']:.{digits}f} ({of['least']:.{digits}f} to {of['most']:.{digits}f})"


def _decibels(records: Sequence[Record]) -> list[str]:
    """Return the least median and the worst channel of some sites."""
    both = [[record[field] for record in records] for field in ("median_db", "worst_db")]
    return [_MISSING if not values or None in values else f"{min(values):.1f}" for values in both]


def _machine(results: Record) -> str:
    machine = results["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, NumPy {machine['numpy']}, "
        f"commit {results['commit']}."
    )


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


TABLES: Final[Mapping[str, Callable[[Record], str]]] = MappingProxyType(
    {
        "stream": stream_table,
        "fidelity": fidelity_table,
        "s3_stream": s3_stream_table,
        "extract": extract_table,
        "scale": scale_table,
    }
)


def main() -> None:
    """Write the tables into the README; with `--check`, only say whether they are in step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = README.read_text()
    rendered = render(text, RESULTS)
    if options.check:
        if rendered != text:
            sys.exit("README.md is out of step with benchmarks/results: run 'python -m benchmarks.tables'")
        return
    README.write_text(rendered)


if __name__ == "__main__":
    main()
