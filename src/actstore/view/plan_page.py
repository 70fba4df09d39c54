"""A plan as one self-contained HTML file: storage and cost by fraction and encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Final

from actstore.view.charts import Line, line_chart
from actstore.view.grids import human_bytes, human_count
from actstore.view.plan_report import PlannedScenario, PlanReport
from actstore.view.plan_tables import assumed, by_fraction, dollars, hours, runs

__all__ = ["plan_page"]

_DRAWN: Final = {"float16": "float16, bfloat16", "int8": "int8", "int4": "int4"}
"""Encodings in the charts; bfloat16 has the size of float16."""

_FEW: Final = (
    "Online, the model runs over the same windows again for each training run. If an online run takes as many rows "
    "from few sequences instead, with every residue of these, rows come from few proteins and the store pays later:"
)

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --faint: #d9d9d9; --soft: #5c5c5c;
  --line0: #0059a8; --line1: #a34700; --line2: #00695c; --line3: #7b1fa2; --line4: #1b1b1b; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --paper: #16181b; --faint: #3a3d42; --soft: #a8adb4;
  --line0: #74b9ff; --line1: #ffb27a; --line2: #6fd6c4; --line3: #d9a5f0; --line4: #ececec; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 54rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
figcaption, .note { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--faint); padding: .25rem .75rem; text-align: right; }
th:first-child { text-align: left; } caption { text-align: left; font-weight: 600; padding: .5rem 0; }
tr.own { font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: var(--soft); } dd { margin: 0; }
.grid { stroke: var(--faint); fill: none; } .tick, .label { fill: var(--soft); font-size: 13px; }
.line { fill: none; stroke-width: 2; } .name { font-size: 13px; }
.line0 { --c: var(--line0); } .line1 { --c: var(--line1); } .line2 { --c: var(--line2); } .line3 { --c: var(--line3); }
.line4 { --c: var(--line4); } .line0 .line, .line1 .line, .line2 .line, .line3 .line, .line4 .line { stroke: var(--c); }
.line1 .line { stroke-dasharray: 7 3; } .line2 .line { stroke-dasharray: 2 3; }
.line3 .line { stroke-dasharray: 9 3 2 3; }
.mark { fill: var(--c); stroke: var(--c); } .name { fill: var(--c); }
"""


def plan_page(report: PlanReport) -> str:
    """Return a plan as an HTML document with its charts, and the numbers of each chart in a table."""
    scenarios = list(by_fraction(report))
    body = [
        f"<h1>Plan for {escape(report.model)}</h1>",
        _facts(_headline(report)),
        "<h2>Storage</h2>",
        _figure(
            _chart(
                scenarios, "storage", "Size of the store by fraction of the residues and encoding", _size, human_bytes
            ),
            "Values, scales and the position of each row, before any compression. Both axes are logarithmic.",
        ),
        _table("Size", report, lambda one: human_bytes(one.bytes)),
        "<h2>Cost</h2>",
        *_cost(report, scenarios),
        "<h2>Break-even</h2>",
        _table("Training runs from which on the store is cheaper", report, lambda one: runs(one.break_even_runs)),
        f'<p class="note">{escape(_FEW)}</p>',
        _table("The same against few sequences", report, lambda one: runs(one.break_even_few_runs)),
        "<h2>Assumed</h2>",
        _facts({name or "rates": value for name, value in assumed(report).items()}),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Plan: {escape(report.model)}</title>",
            f"<style>{_STYLE}</style></head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


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


def _cost(report: PlanReport, scenarios: Sequence[tuple[float, list[PlannedScenario]]]) -> list[str]:
    months = f"{report.assumptions.months:g} months"
    if report.dollars.once is None:
        return [f'<p class="note">Unknown: {escape(report.extraction.reason or "")}.</p>']
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
    title = f"Dollars to extract, write and keep a store for {months}, to read it once, and to run the model once"
    others = [line for line in (online, reading) if line.points]
    chart = _chart(scenarios, "cost", title, _once, dollars, *others)
    return [
        _figure(
            chart,
            "A store is paid once, and each training run pays for reading it. Online, each training run pays for "
            "running the model.",
        ),
        _table(f"Dollars to extract, write and keep {months}", report, lambda one: dollars(one.dollars_once)),
        _table("Dollars to read the store for one training run", report, lambda one: dollars(one.dollars_per_run)),
        _table("Dollars to run the model for one training run", report, lambda one: dollars(one.online_per_run)),
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
) -> str:
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in _DRAWN}
    for fraction, row in scenarios:
        for one in row:
            y = value(one)
            if one.encoding in points and y:
                points[one.encoding].append((fraction, y))
    lines = [Line(_DRAWN[name], tuple(pairs)) for name, pairs in points.items() if pairs]
    if not lines:
        return f"<p>{escape(title)}: no chart, all costs are 0.</p>"
    ends = "; ".join(
        f"{line.name} from {text(min(line.points)[1])} to {text(max(line.points)[1])}" for line in [*lines, *others]
    )
    return line_chart(
        [*lines, *others],
        identity=identity,
        title=title,
        description=f"{ends}. The numbers are in the table below.",
        x_label="fraction of the residues",
        x_text=lambda x: f"{x:g}",
        y_text=lambda y: text(y).replace(".00", "").replace(".0 ", " "),  # decades have no decimals
    )


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(caption: str, report: PlanReport, cell: Callable[[PlannedScenario], str]) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("fraction", "rows", *report.bytes))
    lines = []
    for fraction, row in by_fraction(report):
        own = ' class="own"' if fraction == report.fraction else ""
        cells = "".join(f"<td>{escape(text)}</td>" for text in (human_count(row[0].rows), *map(cell, row)))
        lines.append(f'<tr{own}><th scope="row">{fraction:g}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _facts(values: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in values.items())}</dl>"
