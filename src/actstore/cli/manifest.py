"""`actstore manifest export | show | validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actstore.cli.options import Json, StorageOptions, parse_storage_options, print_report
from actstore.cli.program import Program

__all__ = ["app", "export", "show", "validate"]

app = Program(help="Share a store with one file that locates, describes and identifies it.")

ManifestFile = Annotated[Path, typer.Argument(metavar="FILE", help="An exported manifest.")]


@app.command()
def export(
    store: Annotated[str, typer.Argument(metavar="URI", help="A complete store.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; it must not exist.")],
    uri: Annotated[
        str | None,
        typer.Option(
            help="Place of the store for readers, if it is not URI; a relative path counts from the folder of FILE.",
            show_default="URI",
        ),
    ] = None,
    storage_option: StorageOptions = None,
    json: Json = False,
) -> None:
    """Write a manifest file that is enough to read the store; readers with it refuse a store with other content.

    A store in the file's folder, or below it, is named by its path from there, so that both may move together. Any
    other store is named by its URL or absolute path.

    `actstore manifest export s3://bucket/esm2-8m -o esm2-8m.json`
    """
    from actstore.view.reports import report_manifest
    from actstore.view.tables import inspect_view
    from actstore.workflows.export_manifest import export_manifest

    manifest = export_manifest(store, out, uri=uri, storage_options=parse_storage_options(storage_option))
    report = report_manifest(manifest)
    print_report(report, as_json=json, view=lambda: inspect_view(report))


@app.command()
def show(file: ManifestFile, json: Json = False) -> None:
    """Show the content of a manifest file, without reading the store.

    `actstore manifest show esm2-8m.json`
    """
    from actstore.store.read.open import read_manifest_file
    from actstore.view.reports import report_manifest
    from actstore.view.tables import inspect_view

    report = report_manifest(read_manifest_file(file))
    print_report(report, as_json=json, view=lambda: inspect_view(report))


@app.command()
def validate(file: ManifestFile, json: Json = False) -> None:
    """Check that a file is a valid manifest; exit 1 and print the problem if not.

    Only the file is checked. To compare it with its store, use `actstore inspect FILE`, and compare the digest with the
    published one.

    `actstore manifest validate esm2-8m.json`
    """
    from actstore.errors import ManifestError
    from actstore.store.read.open import read_manifest_file

    try:
        manifest = read_manifest_file(file)
    except ManifestError as error:
        if not (json and file.is_file()):
            raise
        print_report({"file": str(file), "valid": False, "problem": str(error)}, as_json=True, view=str)
        raise typer.Exit(error.exit_code) from error
    report = {"file": str(file), "valid": True, "manifest_sha256": manifest.digest, "uri": manifest.uri}
    print_report(report, as_json=json, view=lambda: f"{file}: valid, sha256 {manifest.digest}")
