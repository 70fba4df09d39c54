"""`actstore plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Json,
    Quiet,
    Settings,
    StorageOptions,
    parse_settings,
    parse_storage_options,
    print_report,
)

if TYPE_CHECKING:
    from actstore.budget.assumptions import Assumptions

__all__ = ["AssumptionOptions", "plan"]

_WHAT, _COST = "Trainer", "GPU and prices"


@dataclass(frozen=True, slots=True)
class AssumptionOptions:
    """What is assumed of trainer, GPU and prices."""

    trainer: Annotated[
        str | None,
        typer.Option(
            help="crosscoder or sae, or a name of `trainer read-from-store --dictionary`. "
            "Default: crosscoder, or topk-sae if there is one site.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    site: Annotated[
        str | None, typer.Option(help="Site of a sparse autoencoder. Default: the last site.", rich_help_panel=_WHAT)
    ] = None
    latents: Annotated[int | None, typer.Option(help="Dictionary size F.", rich_help_panel=_WHAT)] = None
    expansion: Annotated[
        int, typer.Option(help="F divided by the features D of a site, without --latents.", rich_help_panel=_WHAT)
    ] = 8
    batch_rows: Annotated[int, typer.Option(help="Rows in one training step.", rich_help_panel=_WHAT)] = 2048
    gpu: Annotated[str, typer.Option(help="A100, H100, H200, L4 or L40S.", rich_help_panel=_COST)] = "A100"
    utilisation: Annotated[
        float | None,
        typer.Option(
            help="Share of the GPU's datasheet rate. Default: 0.48 (150 TFLOP/s on an A100).",
            rich_help_panel=_COST,
        ),
    ] = None
    measured_rate: Annotated[
        float | None,
        typer.Option(
            help="Residues/s of the model on one GPU; replaces the datasheet rate in the cost of extraction.",
            rich_help_panel=_COST,
        ),
    ] = None
    price_file: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with your prices instead of list prices; see docs/how-to/plan-size-and-cost.md.",
            rich_help_panel=_COST,
        ),
    ] = None
    months: Annotated[float, typer.Option(help="Months for which the store is kept.", rich_help_panel=_COST)] = 3.0
    chunks_per_get: Annotated[
        int,
        typer.Option(
            help="Chunks that a reader requests at once; more chunks need a larger buffer.", rich_help_panel=_COST
        ),
    ] = 1

    def assumptions(self) -> Assumptions:
        """Return them with defaults filled in."""
        from actstore.budget.assumptions import Assumptions
        from actstore.budget.hardware import UTILISATION
        from actstore.budget.prices import DEFAULT_PRICES
        from actstore.workflows.plan import read_prices

        return Assumptions(
            trainer=self.trainer,
            site=self.site,
            latents=self.latents,
            expansion=self.expansion,
            batch_rows=self.batch_rows,
            gpu=self.gpu,
            utilisation=UTILISATION if self.utilisation is None else self.utilisation,
            measured_rate=self.measured_rate,
            chunks_per_get=self.chunks_per_get,
            months=self.months,
            prices=DEFAULT_PRICES if self.price_file is None else read_prices(self.price_file),
        )


@with_grouped_options
def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe (TOML).")],
    *,
    assumed: AssumptionOptions,
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="FASTA or Parquet files that replace those of the recipe, or its expected lengths; may be repeated."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one HTML file with charts of storage and cost.")] = None,
    settings: Settings = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate size, time and cost of a recipe.

    The report has rows, tasks, objects and bytes in every encoding and at other fractions; requests; FLOPs and
    GPU-hours of extraction and training; the bandwidth that keeps the trainer busy; dollars; and the break-even: the
    number of training runs from which on a store is cheaper than running the model in each run. Formulas and sources
    are in docs/explanation/planning.md.

    Only the lengths of the sequences are needed. They are read once from the files of the recipe, or the recipe states
    them (`expected_sequences`, `expected_lengths`); the plan then takes a second.

    `actstore plan manifests/prott5-xl-uniref50-all24.toml --trainer crosscoder`

    `actstore plan recipe.toml --set rows.fraction=0.1 --measured-rate 12000 --price-file ours.toml --html plan.html`
    """
    from actstore.view.plan_tables import plan_view
    from actstore.view.progress import terminal_progress
    from actstore.workflows.plan import plan_store, write_plan_page
    from actstore.workflows.recipes import read_recipe

    report = plan_store(
        read_recipe(recipe, options={"corpus.sequences": sequences, **parse_settings(settings)}),
        assumptions=assumed.assumptions(),
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    if html is not None:
        write_plan_page(report, html)
    print_report(report, as_json=json, view=lambda: plan_view(report))
