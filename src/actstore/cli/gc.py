"""`actstore gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.options import Json, Quiet, StorageOptions, parse_duration, parse_storage_options, print_report

__all__ = ["gc"]


def gc(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store.")],
    delete: Annotated[bool, typer.Option("--delete", help="Remove the old leftovers.")] = False,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Keep younger objects: 90s, 30m, 12h, 1d. A running extractor writes objects before their commit.",
        ),
    ] = "1d",
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List objects that are not part of a store: leftovers of interrupted writers, foreign files.

    Leftovers are removed only with --delete, foreign files never. These are not listed: objects of tasks with a commit,
    intact or damaged; objects in a folder that is a store itself; files behind a symbolic link to a folder.

    `actstore gc s3://bucket/esm2-8m --older-than 12h --delete`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.tables import garbage_view
    from actstore.workflows.care.collect import collect_garbage

    report = collect_garbage(
        store,
        delete=delete,
        older_than_s=parse_duration(older_than, flag="--older-than"),
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: garbage_view(report))
