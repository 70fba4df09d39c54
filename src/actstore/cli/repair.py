"""`actstore repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.options import Device, Json, ModelPlace, Quiet, StorageOptions, parse_storage_options, print_report

__all__ = ["repair"]


def repair(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store.")],
    task: Annotated[
        list[int] | None,
        typer.Option(
            help="Extract this task again in any state, and no other task; may be repeated.",
            show_default="tasks with damage",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List damage and repairs without doing them; exit 1 if there are any.")
    ] = False,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Accept tasks whose bytes differ from before, and a new manifest."),
    ] = False,
    model: ModelPlace = None,
    device: Device = "auto",
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find damage and repair it; exit 1 with a list if anything is left to do, also after a dry run.

    Damaged tasks are extracted again with the recipe and model of the store. Zarr metadata, recipe and manifest are
    written again from each other. The store then has the same bytes as before the damage. If the command is killed, run
    it again. In JSON, `ok` means that nothing is left to do.

    `actstore repair s3://bucket/esm2-8m --dry-run`

    `actstore repair /scratch/store --task 17 --task 18`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.tables import repair_view
    from actstore.workflows.care.repair import repair_store

    report = repair_store(
        store,
        tasks=task or None,
        dry_run=dry_run,
        rewrite=rewrite,
        model=model,
        device=device,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: repair_view(report))
    if not report.ok:
        raise typer.Exit(1)
