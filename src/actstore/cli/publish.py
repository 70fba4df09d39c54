"""`actstore publish`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli.options import Json, Quiet, StorageOptions, StorePlace, parse_storage_options, print_report

__all__ = ["publish"]


def publish(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store, or an exported manifest file.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="Data set on the Hub; made if need be.")],
    private: Annotated[bool, typer.Option("--private", help="Make the data set private, if it is made.")] = False,
    revision: Annotated[str, typer.Option(metavar="BRANCH", help="Branch; made if need be.")] = "main",
    message: Annotated[
        str | None, typer.Option(help="Message of the commits.", show_default="the model, and the manifest's digest")
    ] = None,
    license: Annotated[  # noqa: A002 - the word of recipes
        str | None,
        typer.Option(
            help="Licence of the data set on its card, as an SPDX identifier or in words.",
            show_default="that of model and corpus, if the recipe tells one and the same",
        ),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Publish the finished tasks of an unfinished store.")
    ] = False,
    new_card: Annotated[bool, typer.Option("--new-card", help="Replace a README.md that somebody wrote.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the Hub what it has, show what would be sent, and send nothing.")
    ] = False,
    uri: StorePlace = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish a store on the Hugging Face Hub, with a card and Croissant metadata.

    Log in with `hf auth login`, or set HF_TOKEN. Every file is compared with its digest before it is sent. After an
    interruption the same command continues, and sends only what is missing. Readers find the store when all of it is
    there: `actstore inspect hf://datasets/USER/NAME`.

    `actstore publish s3://bucket/esm2-8m my-lab/esm2-8m-activations --private`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.published import published_view
    from actstore.workflows.publish import publish_store

    report = publish_store(
        store,
        repository,
        private=private,
        revision=revision,
        message=message,
        license=license,
        incomplete=incomplete,
        new_card=new_card,
        dry_run=dry_run,
        uri=uri,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: published_view(report))
