"""A plan as one self-contained HTML file: storage and cost by fraction and encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from actstore.view.grids import human_bytes, human_count
from actstore.view.pages.axes import log_axis
from actstore.view.pages.charts import Labels, Line, line_chart
from actstore.view.pages.document import Section, facts, figure, page, table
from actstore.view.pages.markup import Markup, element
from actstore.view.plan_report import PlannedScenario, PlanReport
from actstore.view.plan_tables import assumed, by_fraction, dollars, hours, runs

__all__ = ["plan_page"]

_DRAWN: Final = {"float16": "float16, bfloat16", "int8": "int8", "int4": "int4"}
"""Encodings in the charts; bfloat16 has the size of float16."""

_FEW: Final = (
    "Online, the model runs over the same windows again for each training run. If an online run takes as many rows "
    "from few sequences instead, with every residue of these, rows come from few proteins and the store pays later:"
)


def plan_page(report: PlanReport) -> str:
    """Return a plan as an HTML document with its charts, and the numbers of each chart in a table."""
    scenarios = list(by_fraction(report))
    note = "Values, scales and the position of each row, before any compression. Both axes are logarithmic."
    size = figure(
        "Size of the store by fraction of the residues and encoding",
        _chart(scenarios, "storage", "Size of the store", _size, human_bytes),
        _table(report, lambda one: human_bytes(one.bytes)),
        note=note,
    )
    even = (
        _table(report, lambda one: runs(one.break_even_runs), "Training runs from which on the store is cheaper"),
        element("p", _FEW, class_="note"),
        _table(report, lambda one: runs(one.break_even_few_runs), "The same against few sequences"),
    )
    sections = [
        Section("storage", "Storage", (size,)),
        Section("cost", "Cost", tuple(_cost(report, scenarios))),
        Section("break-even", "Break-even", even),
        Section("assumed", "Assumed", (facts({name or "rates": text for name, text in assumed(report).items()}),)),
    ]
    head = [element("p", "actstore plan", class_="kind"), element("h1", f"Plan for {report.model}")]
    return page(f"Plan: {report.model}", [*head, facts(_headline(report))], sections, "An estimate by actstore plan.")


def _headline(report: PlanReport) -> dict[str, str]:
    trainer, extraction = report.trainer, report.extraction
    even = report.break_even_reason or f"the store is cheaper from training run {report.break_even_runs:,} on"
    return {
        "corpus": f"{report.sequences:,} sequences, {report.residues:,} residues" + (" (expected)" * report.expected),
        "store": f"{report.rows:,} rows at {len(report.sites)} sites: {human_bytes(report.bytes_total)} as "
        f"{report.encoding}, in {report.tasks:,} tasks and {report.objects:,} objects",
        "extraction": f"{hours(extraction.gpu_hours)} on one {report.assumptions.gpu}",
        "training": f"{trainer.name}, {human_count(trainer.parameters)} parameters: {hours(trainer.hours)}, "
        f"{human_count(trainer.rows_per_s)} rows/s",
        "to keep it busy": ", ".join(
            f"{human_bytes(trainer.read_bytes_per_s[name])}/s in {name}" for name in ("float16", "int8")
        ),
        "break-even": even,
    }


def _cost(report: PlanReport, scenarios: Sequence[tuple[float, list[PlannedScenario]]]) -> list[Markup]:
    months = f"{report.assumptions.months:g} months"
    if report.dollars.once is None:
        return [element("p", f"Unknown: {report.extraction.reason or ''}.", class_="note")]
    drawn = report.encoding if report.encoding in _DRAWN else "float16"  # bfloat16 has the size of float16
    online = Line(
        "one online run",
        tuple((fraction, one[0].online_per_run) for fraction, one in scenarios if one[0].online_per_run),
    )
    reading = Line(
        f"reading {_DRAWN[drawn]} once",
        tuple(
            (fraction, one.dollars_per_run)
            for fraction, row in scenarios
            for one in row
            if one.encoding == drawn and one.dollars_per_run
        ),
    )
    others = [line for line in (online, reading) if line.points]
    note = "A store is paid once, and each training run pays for reading it. Online, each training run pays for "
    return [
        figure(
            f"Dollars to extract, write and keep a store for {months}, to read it once, and to run the model once",
            _chart(scenarios, "cost", "Cost of a store", _once, dollars, *others),
            _table(report, lambda one: dollars(one.dollars_once), f"Dollars to extract, write and keep {months}"),
            note=f"{note}running the model. Both axes are logarithmic.",
        ),
        _table(report, lambda one: dollars(one.dollars_per_run), "Dollars to read the store for one training run"),
        _table(report, lambda one: dollars(one.online_per_run), "Dollars to run the model for one training run"),
    ]


def _size(one: PlannedScenario) -> float | None:
    return float(one.bytes)


def _once(one: PlannedScenario) -> float | None:
    return one.dollars_once


def _chart(
    scenarios: Iterable[tuple[float, list[PlannedScenario]]],
    identity: str,
    title: str,
    value: Callable[[PlannedScenario], float | None],
    text: Callable[[float], str],
    *others: Line,
) -> Markup:
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in _DRAWN}
    for fraction, row in scenarios:
        for one in row:
            y = value(one)
            if one.encoding in points and y:
                points[one.encoding].append((fraction, y))
    lines = [*(Line(_DRAWN[name], tuple(pairs)) for name, pairs in points.items() if pairs), *others]
    if not any(points.values()):
        return element("p", "No chart: all costs are 0.", class_="note")
    ends = "; ".join(f"{line.name} from {text(min(line.points)[1])} to {text(max(line.points)[1])}" for line in lines)
    fractions = sorted({x for line in lines for x, _ in line.points})
    labels = Labels(
        identity,
        title=title,
        description=f"{ends}. The numbers are in the table below.",
        x="fraction of the residues",
        y=identity,
        x_text=lambda x: f"{x:g}",
        y_text=lambda y: text(y).replace(".00", "").replace(".0 ", " "),  # decades have no decimals
    )
    heights = log_axis([y for line in lines for _, y in line.points])
    return line_chart(lines, log_axis(fractions, ticks=fractions), heights, labels)


def _table(report: PlanReport, cell: Callable[[PlannedScenario], str], caption: str = "") -> Markup:
    scenarios = list(by_fraction(report))
    own = [index for index, (fraction, _) in enumerate(scenarios) if fraction == report.fraction]
    rows = [(f"{fraction:g}", human_count(row[0].rows), *map(cell, row)) for fraction, row in scenarios]
    return table(("fraction", "rows", *report.bytes), rows, caption=caption, own=own[0] if own else None)
