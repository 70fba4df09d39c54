"""`actstore rows`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Json,
    Quiet,
    StorageOptions,
    StorePlace,
    comma_separated,
    parse_numbers,
    parse_storage_options,
    print_report,
)

__all__ = ["RowChoice", "rows"]


@dataclass(frozen=True, slots=True)
class RowChoice:
    """Which rows to read."""

    PANEL: ClassVar = "Which rows"

    sequence: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a protein, as in the FASTA or Parquet file; may be repeated.",
            show_default="none",
        ),
    ] = None
    position: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM-TO",
            help="Residues, counted from 0, both ends included: `10-50`, `7`, or several with commas.",
            show_default="all that were kept",
        ),
    ] = None
    rows: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBERS",
            help="Rows by their numbers, such as `17,99` or `0-9`: which protein and residue are they of?",
            show_default="none",
        ),
    ] = None
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site or glob; several with commas, or by repeating the option.", show_default="all"),
    ] = None


@with_grouped_options
def rows(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store, or an exported manifest file.")],
    *,
    choice: RowChoice,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="New file with the values: .parquet, .npz or .csv.",
            show_default="a table without values",
            rich_help_panel="Output",
        ),
    ] = None,
    uri: StorePlace = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read the activations of single proteins, or find out what a row is.

    Only the chunks with these rows are read, and each is compared with its checksum. To train, use `trainer
    read-from-store` or `actstore.open_stream`.

    `actstore rows /scratch/store --sequence P62258 --site resid_post.7 -o P62258.parquet`

    `actstore rows s3://bucket/store --rows 17,99`
    """
    from actstore.store.browse.row_files import check_row_file, write_rows
    from actstore.view.progress import terminal_progress
    from actstore.view.row_table import describe_rows, rows_view
    from actstore.workflows.rows import read_rows

    if out is not None:
        check_row_file(out)
    found = read_rows(
        store,
        sequences=choice.sequence or (),
        rows=parse_numbers(choice.rows, "--rows") or (),
        sites=comma_separated(choice.site),
        positions=parse_numbers(choice.position, "--position"),
        uri=uri,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    if out is not None:
        write_rows(found, out)
    report = describe_rows(found, uri=store, file=None if out is None else str(out))
    print_report(report, as_json=json, view=lambda: rows_view(report))
