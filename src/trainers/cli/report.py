"""`trainer report`: what runs found, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actstore import with_grouped_options
from trainers.cli import options
from trainers.cli.table import print_grid, print_result

if TYPE_CHECKING:
    from trainers.report.reported import ReportedRun

__all__ = ["print_runs", "report"]


@with_grouped_options
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or the folder of a sweep.")],
    *,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write one HTML file with figures, which needs no network.", show_default="none"),
    ] = None,
    output: options.ReportOptions,
) -> None:
    """Compare runs: results, settings in which they differ, and the front of sparsity and fidelity.

    L0 is the number of active latents of a row, `explained` the share of the variance of held-out rows. Runs need not
    have finished. With --html, a page shows curves of training, L0 against explained variance, and how often latents
    fire.

    A sweep, and one more run:

        trainer report runs/k runs/sae --html k.html

    The best dictionary with at most 40 active latents:

        trainer report runs/k --json | jq '[.runs[] | select(.result.l0 <= 40)] | max_by(.result.explained_variance)'
    """
    from trainers.workflows.report import read_runs, report_document, write_report

    found = read_runs(runs)
    if html is not None:
        write_report(found, html)
        typer.echo(f"the page is {html}", err=True)
    if output.as_json:
        print_result(report_document(found), as_json=True)
    else:
        print_runs(found)
        for run in found:
            if run.failure is not None:
                typer.echo(f"{run.name}: {run.failure}")


def print_runs(runs: Sequence[ReportedRun]) -> None:
    """Print results, differences and remarks."""
    from trainers.report.compare import HEADS, different_settings, front, remarks, result_cells, setting_text

    best = {run.name for run in front(runs)}
    rows = [(*result_cells(run), "*" if len(runs) > 1 and run.name in best else "") for run in runs]
    print_grid((*HEADS, "front"), rows)
    shown = set(HEADS) | {"dictionary", "latents"}
    different = {name: values for name, values in different_settings(runs).items() if name not in shown}
    if different:
        typer.echo("Settings in which they differ:")
        cells = [
            (run.name, *(setting_text(values[number]) for values in different.values()))
            for number, run in enumerate(runs)
        ]
        print_grid(("run", *(name.replace("_", " ") for name in different)), cells)
    for said in remarks(runs):
        typer.echo(said)
