"""`actstore verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.options import Device, Json, ModelPlace, Quiet, StorageOptions, parse_storage_options, print_report

__all__ = ["verify"]


def verify(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store.")],
    recompute: Annotated[
        bool, typer.Option(help="Run the model on a sample of rows, if it is available locally, and compare.")
    ] = True,
    model: ModelPlace = None,
    device: Device = "auto",
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that every object exists and every byte is right; exit 1 with a list of faults if not.

    Sizes and SHA-256 are compared with the commits, the commits with the manifest, and a sample of rows with the output
    of the model.

    `actstore verify /scratch/store`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.tables import verify_view
    from actstore.workflows.care.verify import verify_store

    report = verify_store(
        store,
        recompute=recompute,
        model=model,
        device=device,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: verify_view(report))
    if not report.ok:
        raise typer.Exit(1)
