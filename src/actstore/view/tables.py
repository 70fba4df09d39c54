"""Reports to tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table

from actstore.access.printable import printable
from actstore.leaving import StopReason
from actstore.store.write.imported import STORE_FORMAT
from actstore.view.care_reports import Fault, GarbageReport, RepairReport, VerifyReport
from actstore.view.grids import facts as _facts
from actstore.view.grids import grid as _table
from actstore.view.grids import human_bytes, human_time
from actstore.view.reports import ExtractReport, ImportReport, InspectedSite, InspectReport, splits_to_train

__all__ = [
    "difference_view",
    "exported_view",
    "extract_view",
    "garbage_view",
    "import_view",
    "inspect_view",
    "repair_view",
    "verify_view",
]

_STOPPED: Final[dict[StopReason, str]] = {
    "time": "the time is over",
    "request": "on request",
    "SIGINT": "by Ctrl-C (SIGINT)",
    "SIGTERM": "by SIGTERM",
}
_MOST_FAULTS: Final = 50
_MOST_NAMED: Final = 20
_MOST_FIELDS: Final = 40


def extract_view(report: ExtractReport, *, title: str = "Extracted", again: str | None = None) -> RenderableType:
    """Show the report of `extract` or of `import`, with the tasks left."""
    again = again or f"'actstore extract --store {report.uri}'"
    rate = f"{report.rows_per_s:,.0f} rows/s" + (f", {report.workers:,} workers" if report.workers > 1 else "")
    facts = {
        "store": report.uri,
        "rows": f"{report.rows:,} in {report.tasks_total:,} tasks",
        "this run": f"{report.rows_extracted:,} rows in {report.seconds:,.1f} s ({rate})",
    }
    if report.manifest_sha256 is not None:
        facts["manifest"] = report.manifest_sha256
    if report.tasks_before:
        facts["found done"] = f"{report.tasks_before:,} tasks of earlier runs"
    if report.complete:
        return _facts(title, facts)
    if report.stopped is not None:
        facts["stopped"] = _STOPPED[report.stopped]
    if not report.tasks_total:
        facts["left"] = "all tasks: the store was not begun; the same command starts again"
    elif report.stopped is not None:
        facts["left"] = f"{report.tasks_left:,} tasks; the same command continues"
    else:
        facts["left"] = (
            f"{report.tasks_left:,} tasks of other shares; the run that does the last one writes the manifest. "
            f"{again} does the remaining tasks"
        )
    return _facts("Not complete", facts)


def import_view(report: ImportReport) -> RenderableType:
    """Show the report of `import`: what was found in the files, and the store."""
    sites = [f"{site} ({width:,} features)" for site, width in report.sites.items()]
    facts = {
        "sites": ", ".join(sites[:_MOST_NAMED]) + (", ..." if len(sites) > _MOST_NAMED else ""),
        "sequences": f"{report.sequences:,}",
        "known": ", ".join(report.known) or "nothing but the rows",
        "unknown": ", ".join(report.unknown) or "nothing",
    }
    if report.said:
        facts["taken so"] = "; ".join(report.said)
    return Group(
        _facts(f"Files of format {report.format}", facts),
        extract_view(report.store, title="Imported", again="the same command without --shard-of"),
    )


def inspect_view(report: InspectReport) -> RenderableType:
    """Show the content of a store."""
    state = "complete" if report.complete else f"{report.tasks_done:,} of {report.tasks_total:,} tasks done"
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items()) or "none"
    facts = {
        "store": report.uri or "(not said)",
        "state": f"{state}, {report.rows_done:,} of {report.rows:,} rows",
        "model": f"{report.model['name']} ({report.model['architecture']}, {report.model['dtype']})",
        "corpus": f"{report.sequences:,} sequences, {report.residues:,} residues; skipped: {skipped}",
        "encoding": f"{report.encoding}, {report.bits_per_value:.2f} bits per value; compressor {report.compressor}",
        "size": f"{human_bytes(report.bytes_total)} in {report.objects:,} objects",
        "a row": f"{report.bytes_per_row:,.0f} bytes, {report.ratio_to_fp16:.2f}x smaller than float16",
        "manifest": report.manifest_sha256,
    }
    if report.imported is not None:
        facts["imported"] = str(report.imported["summary"])
    if (len(report.sites), report.tasks_total) != (report.whole_sites, report.whole_tasks):
        facts["part"] = (
            f"{len(report.sites):,} of {report.whole_sites:,} sites and {report.tasks_total:,} of "
            f"{report.whole_tasks:,} tasks of the store"
        )
    if report.stores:
        facts["merge of"] = "\n".join(report.stores)
    if report.compressor_ratios:
        tried = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in report.compressor_ratios.items())
        facts["compressors"] = f"tried on the first task: {tried}"
    facts |= {f"{name} licence": text for name, text in report.licenses.items()}
    facts |= {f"cite the {name}": text for name, text in report.citations.items()}
    splits = _table("split", "sequences", "rows", "tasks")
    for name, split in report.splits.items():
        done = f"{split.tasks_done:,}/{split.tasks_total:,}"
        splits.add_row(name, f"{split.sequences:,}", f"{split.rows:,}", done)
    sites = _table("site", "D", "mean norm", "largest", "SQNR dB median/worst", "outlier channels (x median)")
    for name, site in report.sites.items():
        sites.add_row(
            name,
            f"{site.width:,}",
            f"{site.mean_norm:,.2f}",
            f"{site.max_abs:,.1f}",
            _decibels(site, lossless="not known" if _is_copied(report) else "lossless"),
            ", ".join(f"{channel} ({ratio:.0f}x)" for channel, ratio in site.outlier_channels.items()) or "-",
        )
    return Group(_facts("Store", facts), splits, sites)


def exported_view(report: InspectReport, file: Path) -> RenderableType:
    """Show what a manifest file describes, and how somebody else uses it."""
    split = splits_to_train(report.splits)
    use = {
        "file": str(file),
        "look": f"actstore inspect {file}",
        "train": f"trainer read-from-store {file} --dictionary topk-sae --site {next(iter(report.sites))}{split}",
        "Python": f'actstore.open_store("{file}")',
        "cite": report.manifest_sha256,
    }
    return Group(inspect_view(report), _facts("Use it", use))


def difference_view(found: Mapping[str, Any]) -> RenderableType:
    """Show what distinguishes two manifests."""
    facts = {"content": "the same" if found["same"] else "not the same"}
    for side, digest, places in zip(("A", "B"), found["digests"], found["places"], strict=True):
        facts[side] = f"{digest}{''.join(f' at {place}' for place in places)}"
    if found["tasks_differing"]:
        shown = ", ".join(map(str, found["tasks"])) + (
            ", ..." if found["tasks_differing"] > len(found["tasks"]) else ""
        )
        facts["tasks"] = f"{found['tasks_differing']:,} with other bytes: {shown}"
    table = _table("field", "A", "B")
    for key, one, other in found["fields"][:_MOST_FIELDS]:
        table.add_row(printable(key), *("-" if value is None else printable(value) for value in (one, other)))
    more = len(found["fields"]) - _MOST_FIELDS
    shown_fields: list[RenderableType] = [table] if found["fields"] else []
    return Group(_facts("Compared", facts), *shown_fields, *([f"and {more:,} more: --json"] if more > 0 else []))


def verify_view(report: VerifyReport) -> RenderableType:
    """Show the report of `verify`."""
    state = "sound" if report.ok else f"{len(report.faults):,} fault{'s' if len(report.faults) > 1 else ''}"
    recomputed = report.not_recomputed or f"{report.recomputed_rows:,} rows agree with the model"
    if report.recomputed_rows and not report.ok:
        recomputed = f"{report.recomputed_rows:,} rows compared with the model"
    facts = {
        "store": report.uri,
        "state": f"{state}; {report.tasks_done:,} of {report.tasks_total:,} tasks",
        "read": f"{report.objects:,} objects, {human_bytes(report.bytes)}",
        "recomputed": recomputed,
    }
    if report.unnamed:
        size = human_bytes(sum(one.bytes for one in report.unnamed))
        facts["not part of it"] = f"{_objects(report.unnamed)}, {size}: 'actstore gc {report.uri}' lists them"
    if report.other_stores:
        facts["other stores"] = _other_stores(report.other_stores)
    if report.ok:
        return _facts("Verified", facts)
    faults = _fault_table(report.faults)
    way_out = f"'actstore repair {report.uri} --dry-run' lists what can be repaired, and what cannot and why."
    return Group(_facts("Damaged", facts), faults, way_out)


def repair_view(report: RepairReport) -> RenderableType:
    """Show the report of `repair`."""
    tasks = ", ".join(map(str, report.tasks[:_MOST_NAMED])) + (", ..." if len(report.tasks) > _MOST_NAMED else "")
    found = f"{len(report.faults):,} fault{'s' if len(report.faults) > 1 else ''}" if report.faults else "no damage"
    facts = {"store": report.uri, "found": found, "tasks": tasks or "none to extract again"}
    if report.dry_run:
        facts["would write"] = f"{_objects(report.written)} or more" if report.written else "nothing"
    else:
        facts["wrote"] = f"{_objects(report.written)}, {report.rows_extracted:,} rows in {report.seconds:,.1f} s"
        facts["manifest"] = report.manifest_sha256 or "none"
        if report.manifest_before not in {None, report.manifest_sha256}:
            facts["it was"] = report.manifest_before or "none"
    title = "To repair" if report.dry_run else "Repaired" if report.ok else "Not all repaired"
    shown: list[RenderableType] = [_facts(title, facts)]
    if report.dry_run and report.faults:
        shown.append(_fault_table(report.faults))
    if report.left:
        shown += ["\nCannot be repaired:", _fault_table(report.left)]
    return Group(*shown)


def garbage_view(report: GarbageReport) -> RenderableType:
    """Show the report of `gc`."""
    found = f"{_objects(report.garbage)}, {human_bytes(report.bytes)}"
    done = "removed" if report.deleted else "not part of the store; --delete removes them"
    facts = {"store": report.uri, "found": f"{found}, {done}" if report.garbage else "nothing"}
    if report.recent:
        younger = f"{_objects(report.recent)}, {human_bytes(report.recent_bytes)}"
        facts["left alone"] = f"{younger}, younger than {human_time(report.older_than_s)} or of unknown age"
    if report.other_stores:
        facts["other stores"] = _other_stores(report.other_stores)
    if report.foreign:
        facts["foreign"] = f"{_objects(report.foreign)} that actstore did not write; never removed"
    if report.temporary:
        done = "removed" if report.deleted else "--delete and the next run remove them"
        facts["temporary"] = f"{', '.join(report.temporary[:_MOST_NAMED])}: of killed runs, {done}"
    listed = (*report.garbage, *report.foreign)
    if not listed:
        return _facts("Garbage", facts)
    table = _table("object", "size", "age", "problem")
    for one in listed[:_MOST_FAULTS]:
        age = "-" if one.age_s is None else human_time(one.age_s)
        table.add_row(printable(one.object), human_bytes(one.bytes), age, one.reason)
    if len(listed) > _MOST_FAULTS:
        table.add_row(f"and {len(listed) - _MOST_FAULTS:,} more", "", "", "--json lists all")
    return Group(_facts("Garbage", facts), table)


def _objects(which: Sequence[object]) -> str:
    return f"{len(which):,} object{'s' if len(which) != 1 else ''}"


def _other_stores(folders: Sequence[str]) -> str:
    more = f" and {len(folders) - _MOST_NAMED:,} more" if len(folders) > _MOST_NAMED else ""
    return f"{', '.join(map(printable, folders[:_MOST_NAMED]))}{more}: not part of this one, and left alone"


def _fault_table(faults: Sequence[Fault]) -> Table:
    table = _table("object", "task", "problem")
    for fault in faults[:_MOST_FAULTS]:
        task = "-" if fault.task is None else str(fault.task)
        table.add_row(printable(fault.object), task, printable(fault.problem, most=None))
    if len(faults) > _MOST_FAULTS:
        table.add_row(f"and {len(faults) - _MOST_FAULTS:,} more", "", "--json lists all")
    return table


def _is_copied(report: InspectReport) -> bool:
    """Return whether rows of another store were copied as they are encoded, so that only that one knows their noise."""
    return report.imported is not None and report.imported["format"] == STORE_FORMAT


def _decibels(site: InspectedSite, *, lossless: str) -> str:
    if site.sqnr_worst_db is None:
        return lossless
    median = "lossless" if site.sqnr_median_db is None else f"{site.sqnr_median_db:.1f}"
    return f"{median} / {site.sqnr_worst_db:.1f}"
