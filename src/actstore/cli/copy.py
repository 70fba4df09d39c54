"""`actstore copy`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    DestinationOptions,
    Json,
    ListedSequences,
    PartOptions,
    Quiet,
    StorageOptions,
    StorePlace,
    parse_storage_options,
    print_report,
)

__all__ = ["copy"]


@with_grouped_options
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A store, or an exported manifest file.")],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="An empty or new folder or prefix, or a copy that was begun.")
    ],
    *,
    part: PartOptions,
    sequences: ListedSequences = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read what is in DST, too, and copy again what is damaged.")
    ] = False,
    uri: StorePlace = None,
    storage_option: StorageOptions = None,
    destination_option: DestinationOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy a store, or some of its sites, splits, tasks or sequences, between any two places.

    Every object is compared with its digest before it is written. If the command is stopped, run it again: it goes on
    with the next task. A part is a store like any other, and its tasks keep their numbers; no rows can be extracted
    into it, and nothing else is read.

    Rows of a list of sequences lie in all tasks. So they are shuffled anew, and make a store of their own: each row
    keeps its values, and each protein its split. SRC may then be a merge, too.

    `actstore copy s3://bucket/prott5 /scratch/prott5 --site resid_post.11,resid_post.23`

    `actstore copy prott5.json /data/small --site resid_post.11 --tasks 1%`

    `actstore copy prott5.json /data/kinases --sequences kinases.txt`
    """
    from actstore.view.part_tables import copy_view
    from actstore.view.progress import terminal_progress
    from actstore.workflows.copy_store import copy_store

    report = copy_store(
        source,
        destination,
        **part.chosen(),
        sequences=sequences,
        check=check,
        uri=uri,
        storage_options=parse_storage_options(storage_option),
        destination_options=parse_storage_options(destination_option, flag="--destination-option"),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: copy_view(report._asdict()))
