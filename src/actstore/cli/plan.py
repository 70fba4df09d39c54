"""`actstore plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actstore.cli.options import (
    Json,
    Quiet,
    Settings,
    StorageOptions,
    parse_settings,
    parse_storage_options,
    print_report,
)

__all__ = ["plan"]

_WHAT, _COST = "Trainer", "GPU and prices"


Trainer = Annotated[
    str | None,
    typer.Option(
        help="crosscoder or sae, or a name of `trainer read-from-store --dictionary`. "
        "Default: crosscoder, or topk-sae if there is one site.",
        rich_help_panel=_WHAT,
    ),
]
Site = Annotated[
    str | None, typer.Option(help="Site of a sparse autoencoder. Default: the last site.", rich_help_panel=_WHAT)
]
Latents = Annotated[int | None, typer.Option(help="Dictionary size F.", rich_help_panel=_WHAT)]
Expansion = Annotated[
    int, typer.Option(help="F divided by the features D of a site, without --latents.", rich_help_panel=_WHAT)
]
BatchRows = Annotated[int, typer.Option(help="Rows in one training step.", rich_help_panel=_WHAT)]
GpuName = Annotated[str, typer.Option(help="A100, H100, H200, L4 or L40S.", rich_help_panel=_COST)]
Utilisation = Annotated[
    float | None,
    typer.Option(
        help="Share of the GPU's datasheet rate. Default: 0.48 (150 TFLOP/s on an A100).", rich_help_panel=_COST
    ),
]
MeasuredRate = Annotated[
    float | None,
    typer.Option(
        help="Residues/s of the model on one GPU; replaces the datasheet rate in the cost of extraction.",
        rich_help_panel=_COST,
    ),
]
PriceFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with your prices, in place of list prices; docs/how-to/plan-size-and-cost.md has an example.",
        rich_help_panel=_COST,
    ),
]
Months = Annotated[float, typer.Option(help="Months for which the store is kept.", rich_help_panel=_COST)]
ChunksPerGet = Annotated[
    int,
    typer.Option(
        help="Chunks that a reader requests at once; more chunks need a larger buffer.", rich_help_panel=_COST
    ),
]
Sequences = Annotated[
    list[str] | None,
    typer.Option(
        help="FASTA or Parquet files that replace those of the recipe, or its expected lengths; may be repeated."
    ),
]
Html = Annotated[Path | None, typer.Option(help="Also write one HTML file with charts of storage and cost.")]


def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe (TOML).")],
    trainer: Trainer = None,
    site: Site = None,
    latents: Latents = None,
    expansion: Expansion = 8,
    batch_rows: BatchRows = 2048,
    gpu: GpuName = "A100",
    utilisation: Utilisation = None,
    measured_rate: MeasuredRate = None,
    price_file: PriceFile = None,
    months: Months = 3.0,
    chunks_per_get: ChunksPerGet = 1,
    sequences: Sequences = None,
    html: Html = None,
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
    from actstore.budget.assumptions import Assumptions
    from actstore.budget.hardware import UTILISATION
    from actstore.budget.prices import DEFAULT_PRICES
    from actstore.view.plan_tables import plan_view
    from actstore.view.progress import terminal_progress
    from actstore.workflows.plan import plan_store, read_prices, write_plan_page
    from actstore.workflows.recipes import read_recipe

    assumptions = Assumptions(
        trainer=trainer,
        site=site,
        latents=latents,
        expansion=expansion,
        batch_rows=batch_rows,
        gpu=gpu,
        utilisation=UTILISATION if utilisation is None else utilisation,
        measured_rate=measured_rate,
        chunks_per_get=chunks_per_get,
        months=months,
        prices=DEFAULT_PRICES if price_file is None else read_prices(price_file),
    )
    report = plan_store(
        read_recipe(recipe, options={"corpus.sequences": sequences, **parse_settings(settings)}),
        assumptions=assumptions,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    if html is not None:
        write_plan_page(report, html)
    print_report(report, as_json=json, view=lambda: plan_view(report))
