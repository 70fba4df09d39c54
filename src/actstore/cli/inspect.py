"""`actstore inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actstore.cli.options import Json, Quiet, StorageOptions, StorePlace, parse_storage_options, print_report

__all__ = ["inspect"]


def inspect(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store, or an exported manifest file.")],
    html: Annotated[
        Path | None,
        typer.Option(help="Also write one HTML file that shows all of this, with figures.", show_default="none"),
    ] = None,
    uri: StorePlace = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a store holds: sites, rows, splits, sizes, norms, outlier channels, quantisation error, completeness.

    Only the manifest is read, for any size of store. `actstore verify` checks that the objects exist.

    With --html, a sample of the rows and the proteins are read, too. The page needs no network and no other file. It
    also has distributions of the norms, the variance that principal components explain, lengths and residues of the
    proteins, a map of the tasks, how well batches are mixed, where the store comes from, how to open it and how to cite
    it.

    `actstore inspect s3://bucket/esm2-8m --json`

    `actstore inspect s3://bucket/esm2-8m --html report.html`
    """
    from actstore.view.tables import inspect_view

    options = parse_storage_options(storage_option)
    if html is None:
        from actstore.workflows.inspect import inspect_store

        report = inspect_store(store, uri=uri, storage_options=options)
    else:
        from actstore.view.progress import terminal_progress
        from actstore.workflows.describe import write_store_page

        progress = terminal_progress(quiet=quiet)
        report = write_store_page(store, html, uri=uri, storage_options=options, progress=progress)
        if not quiet:
            typer.echo(f"the page is {html}", err=True)
    print_report(report, as_json=json, view=lambda: inspect_view(report))
