"""The tables of the two stream benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pages import markdown

__all__ = ["s3_stream_table", "stream_table"]

Record = Mapping[str, Any]


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
        f"{results['trainer_wait_share']:.2%} of its time. {markdown.machine_line(results)}"
    )
    if absent:
        notes += f"\nAbsent: {', '.join(absent)}."
    return "\n".join([markdown.table(heads, lines), "", notes])


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
        return markdown.MISSING
    median, least, most = (
        f"{record[field] / unit:.{digits}f}" for field in ("rows_per_s", "least_rows_per_s", "most_rows_per_s")
    )
    return f"{median} ({least} to {most})" + ("*" if record["rows"] < workload["rows"] else "")


def _share(record: Record) -> str:
    mixing = record.get("mixing")
    return markdown.MISSING if mixing is None else f"{mixing:.2f}"


def _pair(values: Sequence[float | None], *, unit: float, digits: int) -> str:
    return " / ".join(markdown.MISSING if value is None else f"{value / unit:.{digits}f}" for value in values)


def _first(workload: Record, field: str, *, rows: int) -> float:
    """Return a field of the first contestant that was measured on so many rows."""
    records = workload["contestants"].values()
    value: float = next(record[field] for record in records if record.get(field) and record["rows"] == rows)
    return value


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
    notes = (
        f"Medians of {results['rounds']} rounds in turns, least to most in brackets. {markdown.machine_line(results)}"
    )
    return "\n".join([markdown.table(heads, lines), "", notes])
