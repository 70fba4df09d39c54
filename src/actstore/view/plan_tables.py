"""A plan as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType

from actstore.store.write.compression import LEAST_SAVING
from actstore.view.grids import facts, grid, human_bytes, human_count
from actstore.view.plan_report import PlannedScenario, PlanReport

__all__ = ["assumed", "by_fraction", "dollars", "hours", "plan_view", "runs"]


def plan_view(report: PlanReport) -> RenderableType:
    """Show size, time and cost of a recipe."""
    splits = grid("split", "sequences", "rows", "tasks")
    for name, split in report.splits.items():
        splits.add_row(name, f"{split.sequences:,}", f"{split.rows:,}", f"{split.tasks:,}")
    sizes, once, even = (grid("fraction", "rows", *report.bytes) for _ in range(3))
    for fraction, row in by_fraction(report):
        first = (f"{fraction:g}", human_count(row[0].rows))
        sizes.add_row(*first, *(human_bytes(one.bytes) for one in row))
        once.add_row(*first, *(dollars(one.dollars_once) for one in row))
        even.add_row(*first, *(runs(one.break_even_runs) for one in row))
    machines = grid("on one", "TFLOP/s", "extraction", "dollars", "training")
    for one in report.machines:
        money = "-" if one.extraction_dollars is None else dollars(one.extraction_dollars)
        machines.add_row(one.name, f"{one.tflops:.3g}", hours(one.extraction_hours), money, hours(one.training_hours))
    machines.title = "The same on other machines"
    sizes.title = "Size"
    once.title = f"Dollars to extract, write and keep {report.assumptions.months:g} months"
    even.title = "Training runs after which the store is cheaper than running the model in each"
    for table in (sizes, machines, once, even):
        table.title_justify, table.title_style = "left", "bold"
    shown: list[RenderableType] = [
        facts("Plan", _store(report)),
        splits,
        sizes,
        facts(f"Extraction on one {report.assumptions.gpu}", _extraction(report)),
        "",
        facts(f"Training a {report.trainer.name} once, on one {report.assumptions.gpu}", _training(report)),
        "",
        machines,
        once,
        even,
        facts("Money", _money(report)),
        "",
        facts("Assumed", assumed(report)),
    ]
    return Group(*shown)


def by_fraction(report: PlanReport) -> Iterator[tuple[float, list[PlannedScenario]]]:
    """Yield the scenarios of each fraction, one for each encoding."""
    for fraction, row in groupby(report.scenarios, key=lambda one: one.fraction):
        yield fraction, list(row)


def dollars(amount: float | None) -> str:
    """Return an amount of money, with cents below 100 dollars.

    Examples
    --------
    >>> dollars(1736.4), dollars(0.054), dollars(None)
    ('$1,736', '$0.05', 'unknown')
    """
    if amount is None:
        return "unknown"
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def hours(amount: float | None) -> str:
    """Return GPU-hours, to two digits below ten.

    Examples
    --------
    >>> hours(2.2906), hours(0.0123), hours(None)
    ('2.3 h', '0.012 h', 'unknown')
    """
    if amount is None:
        return "unknown"
    return f"{amount:,.0f} h" if amount >= 100 else f"{amount:,.1f} h" if amount >= 1 else f"{amount:.2g} h"


def runs(count: int | None) -> str:
    """Return a number of training runs."""
    return "never" if count is None else f"{count:,}"


def assumed(report: PlanReport) -> dict[str, str]:
    """Return the assumptions of the plan as text."""
    what = report.assumptions
    share = f"{what.utilisation:.0%} of the datasheet"
    extraction = (
        f"{what.measured_rate:,.0f} residues/s, as measured"
        if what.measured_rate is not None
        else f"{share}: {what.utilisation * what.extraction_datasheet_tflops:.3g} of "
        f"{what.extraction_datasheet_tflops:g} TFLOP/s in {report.dtype}; --measured-rate replaces it"
    )
    return {
        "extraction": extraction,
        "training": f"{share}: {what.utilisation * what.training_datasheet_tflops:.3g} of "
        f"{what.training_datasheet_tflops:g} TFLOP/s in bfloat16",
        "prices": f"{what.prices} ({what.prices_date})",
        "": f"${what.dollars_per_gpu_hour:g} a GPU-hour, ${what.dollars_per_gb_month:g} a GB and month, "
        f"${what.dollars_per_1000_put:g} / ${what.dollars_per_1000_get:g} for 1,000 PUT / GET, "
        f"${what.dollars_per_gb_egress:g} a GB read",
        "reading": f"one GET for each {'chunk' if what.chunks_per_get == 1 else f'{what.chunks_per_get} chunks'} of "
        "each array",
        "kept": f"{what.months:g} months",
        "online": "the same rows from the same windows; the model runs again for each training run",
    }


def _store(report: PlanReport) -> dict[str, str]:
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items()) or "none"
    expected = "expected, not read: " if report.expected else ""
    values = {
        "model": f"{report.model}, {report.dtype}",
        "corpus": f"{expected}{report.sequences:,} sequences, {report.residues:,} residues; skipped: {skipped}",
        "rows": f"{report.rows:,} at {len(report.sites)} sites, fraction {report.fraction:g}",
        "tasks": f"{report.tasks:,}",
        "objects": f"{report.objects:,}",
        "requests": f"{report.requests.put:,} PUT, and {report.requests.get_per_run:,} GET for each training run",
        "size": f"{human_bytes(report.bytes_total)} as {report.encoding} ({report.bytes_per_row:,} bytes a row)",
        "compressor": report.compressor,
    }
    if report.compressor == "auto":
        values["compressor"] = (
            f"auto: zstd or blosc if it saves {LEAST_SAVING:.0%} of the first task, else none; sizes are without"
        )
    return values


def _extraction(report: PlanReport) -> dict[str, str]:
    one = report.extraction
    values = {
        "residues": f"{one.residues:,} through the model; {one.padding - 1:.1%} padding, "
        f"{one.repeated - 1:.1%} run twice at the borders between tasks",
        "FLOP": "unknown" if one.flops_total is None else f"{one.flops_total:.3g}",
        "GPU-hours": hours(one.gpu_hours)
        + ("" if one.residues_per_s is None else f", {human_count(one.residues_per_s)} residues/s"),
    }
    if one.block_weights is not None:
        values["FLOP"] += f", by {human_count(one.block_weights)} weights in the blocks that run"
    if one.reason is not None:
        values["unknown"] = one.reason
    return values


def _training(report: PlanReport) -> dict[str, str]:
    one = report.trainer
    sites = one.sites[0] if len(one.sites) == 1 else f"{len(one.sites)} sites"
    reading = ", ".join(f"{human_bytes(rate)}/s in {name}" for name, rate in one.read_bytes_per_s.items())
    return {
        "reads": sites,
        "parameters": f"{human_count(one.parameters)}, {one.latents:,} latents",
        "FLOP": f"{one.flops_total:.3g}, {human_count(one.flops_per_row)} a row forward and backward",
        "time": f"{hours(one.hours)}, {one.steps:,} steps of {one.batch_rows:,} rows",
        "speed": f"{human_count(one.rows_per_s)} rows/s; to keep it busy: {reading}",
    }


def _money(report: PlanReport) -> dict[str, str]:
    cost = report.dollars
    even = (
        f"{report.break_even_reason}"
        if report.break_even_runs is None
        else f"the store is cheaper from training run {report.break_even_runs:,} on"
    )
    return {
        "once": f"{dollars(cost.once)}: extraction {dollars(cost.extraction)}, PUT {dollars(cost.put)}, "
        f"storage {dollars(cost.storage)}",
        "each run": f"{dollars(cost.read_per_run)} to read the store, or {dollars(cost.online_per_run)} to run the "
        f"model; {dollars(cost.training_per_run)} to train in either case",
        "break-even": even,
        "or": _few(report),
    }


def _few(report: PlanReport) -> str:
    own = next(one for one in report.scenarios if (one.fraction, one.encoding) == (report.fraction, report.encoding))
    if own.break_even_few_runs is None:
        even = own.break_even_few_reason or "never"
    else:
        even = f"from run {own.break_even_few_runs:,} on"
    return f"{even}, if online runs take as many rows from few sequences, with all their residues"
