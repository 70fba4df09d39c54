"""`actstore inspect`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.options import Json, StorageOptions, StorePlace, parse_storage_options, print_report

__all__ = ["inspect"]


def inspect(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store, or an exported manifest file.")],
    uri: StorePlace = None,
    storage_option: StorageOptions = None,
    json: Json = False,
) -> None:
    """Show what a store holds: sites, rows, splits, sizes, norms, outlier channels, quantisation error, completeness.

    Only the manifest is read, for any size of store. `actstore verify` checks that the objects exist.

    `actstore inspect s3://bucket/esm2-8m --json`
    """
    from actstore.view.tables import inspect_view
    from actstore.workflows.inspect import inspect_store

    report = inspect_store(store, uri=uri, storage_options=parse_storage_options(storage_option))
    print_report(report, as_json=json, view=lambda: inspect_view(report))
