"""The tables of plans in `docs/explanation/planning.md`, worked out from the recipes of `manifests/`.

What stands between `<!-- plans:NAME -->` and `<!-- /plans:NAME -->` is replaced.

    python -m benchmarks.plans [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from actstore.budget.assumptions import Assumptions
from actstore.view.grids import human_bytes, human_count
from actstore.view.plan_report import PlannedScenario, PlanReport
from actstore.view.plan_tables import by_fraction, dollars, hours, runs
from actstore.workflows.plan import plan_store
from actstore.workflows.recipes import read_recipe
from benchmarks.pages import markdown

__all__ = ["TABLES", "main", "prott5_table", "render"]

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "explanation" / "planning.md"
PROTT5: Final = ROOT / "manifests" / "prott5-xl-uniref50-all24.toml"
PUBLISHED_RATE: Final = 12_000.0
"""Residues/s of ProtT5-XL in a published run that computed activations while it trained."""


def render(text: str) -> str:
    """Return a document with its plans in place.

    Raises
    ------
    ValueError
        If the document asks for a table that nobody makes.
    """
    return markdown.fill_in(text, "plans", TABLES)


def prott5_table() -> str:
    """Return sizes, dollars and break-even of ProtT5-XL by fraction, and beneath what a crosscoder over it takes."""
    recipe = read_recipe(PROTT5)
    measured, datasheet = (
        plan_store(recipe, assumptions=Assumptions(trainer="crosscoder", measured_rate=rate))
        for rate in (PUBLISHED_RATE, None)
    )
    heads = (
        "fraction of the residues",
        "rows",
        "float16",
        "int8",
        "int4",
        f"int8 store, {measured.assumptions.months:g} months",
        "reading it once",
        "running ProtT5 once",
        "int8 store pays from run",
        "the same, if online runs use few sequences",
        "the same, if ProtT5 ran at its datasheet rate",
    )
    lines = [
        _line(fraction, *(_by_encoding(row) for row in (measured_row, datasheet_row)))
        for (fraction, measured_row), (_, datasheet_row) in zip(
            by_fraction(measured), by_fraction(datasheet), strict=True
        )
    ]
    return "\n".join([markdown.table(heads, lines), "", _notes(measured, datasheet)])


def _line(
    fraction: float, measured: Mapping[str, PlannedScenario], datasheet: Mapping[str, PlannedScenario]
) -> list[str]:
    int8 = measured["int8"]
    return [
        f"{fraction:g}",
        human_count(int8.rows),
        *(human_bytes(measured[name].bytes) for name in ("float16", "int8", "int4")),
        dollars(int8.dollars_once),
        dollars(int8.dollars_per_run),
        dollars(int8.online_per_run),
        runs(int8.break_even_runs),
        runs(int8.break_even_few_runs),
        runs(datasheet["int8"].break_even_runs),
    ]


def _by_encoding(row: Sequence[PlannedScenario]) -> dict[str, PlannedScenario]:
    return {one.encoding: one for one in row}


def _notes(measured: PlanReport, datasheet: PlanReport) -> str:
    trainer, what, flops = measured.trainer, measured.assumptions, measured.extraction.flops_total or 0.0
    return (
        f"A crosscoder over all {len(trainer.sites)} blocks with {trainer.latents:,} latents has "
        f"{human_count(trainer.parameters)} parameters and takes {trainer.flops_per_row / 1e9:.1f} GFLOP a row, "
        f"{trainer.flops_total:.2e} FLOP in all: {hours(trainer.hours)} on one {what.gpu} at "
        f"{what.utilisation * what.training_datasheet_tflops:.0f} TFLOP/s, {trainer.rows_per_s / 1e3:.0f} k rows/s, "
        f"which is {human_bytes(trainer.read_bytes_per_s['float16'])}/s in float16 and "
        f"{human_bytes(trainer.read_bytes_per_s['int8'])}/s in int8. ProtT5 itself takes {flops:.2e} FLOP: "
        f"{hours(measured.extraction.gpu_hours)} at the {what.measured_rate:,.0f} residues/s of a published run, "
        f"{hours(datasheet.extraction.gpu_hours)} at {what.utilisation:.0%} of the datasheet. Prices: {what.prices} "
        f"({what.prices_date}); ${what.dollars_per_gpu_hour:g} a GPU-hour."
    )


TABLES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType({"prott5": prott5_table})


def main() -> None:
    """Write the tables into the page; with `--check`, only say whether they are in step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    rendered = render(text)
    if options.check:
        if rendered != text:
            sys.exit("docs/explanation/planning.md is out of step with the recipes: run 'python -m benchmarks.plans'")
        return
    PAGE.write_text(rendered, encoding="utf-8")


if __name__ == "__main__":
    main()
