"""`actstore plan`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Dtype,
    Encoding,
    Fraction,
    Json,
    Quiet,
    Settings,
    StorageOptions,
    comma_separated,
    parse_count,
    parse_recipe_fields,
    parse_storage_options,
    print_report,
)
from actstore.errors import UsageError

if TYPE_CHECKING:
    from actstore.budget.assumptions import Assumptions
    from actstore.contracts.recipe import Recipe

__all__ = ["AssumptionOptions", "PlannedRecipeOptions", "plan"]

_WHAT, _COST = "Trainer", "GPU and prices"


@dataclass(frozen=True, slots=True)
class AssumptionOptions:
    """What is assumed of trainer, GPU and prices."""

    trainer: Annotated[
        str | None,
        typer.Option(
            help="crosscoder or sae, or a name of `trainer read-from-store --dictionary`.",
            rich_help_panel=_WHAT,
            show_default="crosscoder, or topk-sae for one site",
        ),
    ] = None
    train_site: Annotated[
        str | None,
        typer.Option(help="Site of a sparse autoencoder.", rich_help_panel=_WHAT, show_default="the last site"),
    ] = None
    latents: Annotated[
        int | None, typer.Option(help="Dictionary size F.", rich_help_panel=_WHAT, show_default="expansion x features")
    ] = None
    expansion: Annotated[
        int,
        typer.Option(
            help="F divided by the features D of a site, without --latents.",
            rich_help_panel=_WHAT,
            show_default="8 latents a feature",
        ),
    ] = 8
    batch_rows: Annotated[
        int, typer.Option(help="Rows in one training step.", rich_help_panel=_WHAT, show_default="2,048 rows")
    ] = 2048
    gpu: Annotated[str, typer.Option(help="A100, H100, H200, L4, L40S, or CPU (16 cores).", rich_help_panel=_COST)] = (
        "A100"
    )
    utilisation: Annotated[
        float | None,
        typer.Option(
            help="Share of the GPU's datasheet rate.",
            rich_help_panel=_COST,
            show_default="0.48: 150 TFLOP/s on an A100",
        ),
    ] = None
    measured_rate: Annotated[
        float | None,
        typer.Option(
            help="Residues/s of the model on one GPU; replaces the datasheet rate in the cost of extraction.",
            rich_help_panel=_COST,
            show_default="from FLOPs and datasheet",
        ),
    ] = None
    price_file: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with your prices instead of list prices; see docs/how-to/plan-size-and-cost.md.",
            rich_help_panel=_COST,
            show_default="list prices",
        ),
    ] = None
    months: Annotated[
        float, typer.Option(help="Months for which the store is kept.", rich_help_panel=_COST, show_default="3 months")
    ] = 3.0
    chunks_per_get: Annotated[
        int,
        typer.Option(
            help="Chunks that a reader requests at once; more chunks need a larger buffer.",
            rich_help_panel=_COST,
            show_default="1 chunk",
        ),
    ] = 1

    def assumptions(self) -> Assumptions:
        """Return them with defaults filled in."""
        from actstore.budget.assumptions import Assumptions
        from actstore.budget.hardware import UTILISATION
        from actstore.budget.prices import DEFAULT_PRICES
        from actstore.workflows.plan import read_prices
        from actstore.workflows.planning.machines import measured_flops_per_s

        return Assumptions(
            trainer=self.trainer,
            site=self.train_site,
            latents=self.latents,
            expansion=self.expansion,
            batch_rows=self.batch_rows,
            gpu=self.gpu,
            utilisation=UTILISATION if self.utilisation is None else self.utilisation,
            measured_rate=self.measured_rate,
            machine_flops_per_s=measured_flops_per_s(),
            chunks_per_get=self.chunks_per_get,
            months=self.months,
            prices=DEFAULT_PRICES if self.price_file is None else read_prices(self.price_file),
        )


@dataclass(frozen=True, slots=True)
class PlannedRecipeOptions:
    """What would be extracted: fields of the recipe, which may all be options."""

    PANEL: ClassVar = "Recipe"

    model: Annotated[
        str | None, typer.Option(help="Hugging Face name or local folder.", show_default="of the recipe")
    ] = None
    dtype: Dtype = None
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="Site or glob; several with commas, or by repeating the option; `all` for every site.",
            show_default="resid_post.*",
        ),
    ] = None
    encoding: Encoding = None
    fraction: Fraction = None
    rows: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="Rows to store, such as 500M or 2.5G, from proteins of usual lengths. Needs no files.",
            show_default="those of the sequences",
        ),
    ] = None
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="FASTA or Parquet files that replace those of the recipe, or its expected lengths; may be repeated.",
            show_default="of the recipe",
        ),
    ] = None
    settings: Settings = None

    def recipe(self, file: Path | None) -> Recipe:
        """Return what to plan."""
        from actstore.workflows.plan import NATURAL_LENGTHS, expect_rows
        from actstore.workflows.recipes import merge_options, parse_recipe, read_recipe

        if self.rows is not None and self.sequences:
            raise UsageError("--rows and --sequences: give one; the files decide how many rows there are")
        sites = comma_separated(self.site)
        options = {
            "model.name": self.model,
            "model.dtype": self.dtype,
            "sites": ["*"] if sites and "all" in sites else sites,
            "store.encoding": self.encoding,
            "rows.fraction": self.fraction,
            "corpus.sequences": self.sequences,
        }
        options = parse_recipe_fields(options, self.settings)
        if file is not None:
            recipe = read_recipe(file, options=options)
        elif self.model is None or (self.rows is None and not self.sequences and not self.settings):
            raise UsageError("give RECIPE.toml, or --model with --rows 500M or --sequences FILE")
        else:
            expected = {"expected_sequences": 1, "expected_lengths": list(NATURAL_LENGTHS)} if self.rows else {}
            recipe = parse_recipe(merge_options({"corpus": expected}, options), name="the options")
        return recipe if self.rows is None else expect_rows(recipe, parse_count(self.rows, flag="--rows"))


@with_grouped_options
def plan(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe (TOML); options take precedence over it.")] = None,
    *,
    planned: PlannedRecipeOptions,
    assumed: AssumptionOptions,
    html: Annotated[
        Path | None, typer.Option(help="Also write one HTML file with charts of storage and cost.", show_default="none")
    ] = None,
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
    them (`expected_sequences`, `expected_lengths`), or --rows stands for them; the plan then takes a second. The public
    models are known by name, so neither weights nor network are needed.

    `actstore plan --model facebook/esm2_t33_650M_UR50D --rows 500M --site all`

    `actstore plan manifests/prott5-xl-uniref50-all24.toml --trainer crosscoder`

    `actstore plan recipe.toml --set rows.fraction=0.1 --measured-rate 12000 --price-file ours.toml --html plan.html`
    """
    from actstore.corpus.model_claims import check_model_folder

    asked = planned.recipe(recipe)
    check_model_folder(asked.model.name)  # before imports that take seconds
    from actstore.view.plan_tables import plan_view
    from actstore.view.progress import terminal_progress
    from actstore.workflows.plan import plan_store, write_plan_page

    report = plan_store(
        asked,
        assumptions=assumed.assumptions(),
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    if html is not None:
        write_plan_page(report, html)
    print_report(report, as_json=json, view=lambda: plan_view(report))
