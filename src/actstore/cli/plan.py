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


def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe (TOML).")],
    settings: Settings = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell rows, tasks, objects and bytes of a recipe before anything is run.

    Only the lengths of the sequences are needed, so this takes the time of reading the file once.

    `actstore plan recipe.toml --set rows.fraction=0.1`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.tables import plan_view
    from actstore.workflows.plan import plan_store
    from actstore.workflows.recipes import read_recipe

    report = plan_store(
        read_recipe(recipe, options=parse_settings(settings)),
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: plan_view(report))
