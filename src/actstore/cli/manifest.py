"""`actstore manifest export | subset | merge | show | validate | relocate | diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Json,
    PartOptions,
    Quiet,
    StorageOptions,
    parse_storage_options,
    print_report,
)
from actstore.cli.program import Program

__all__ = ["app", "diff", "export", "merge", "relocate", "show", "subset", "validate"]

app = Program(help="Share a store with one file that locates, describes and identifies it.")

Places = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        metavar="URI",
        help="Another place with the same store, such as a mirror; readers try them in turn. May be repeated.",
        show_default="none",
    ),
]
ReaderPlace = Annotated[
    str | None,
    typer.Option(
        "--uri",
        help="Place of the store for readers, if it is not URI; a relative path counts from the folder of FILE.",
        show_default="URI",
    ),
]
ManifestPlace = Annotated[str, typer.Argument(metavar="FILE", help="An exported manifest, or its URL.")]


@app.command()
def export(
    store: Annotated[str, typer.Argument(metavar="URI", help="A complete store.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; it must not exist.")],
    uri: ReaderPlace = None,
    place: Places = None,
    storage_option: StorageOptions = None,
    json: Json = False,
) -> None:
    """Write a manifest file that is enough to read the store; readers with it refuse a store with other content.

    A store in the file's folder, or below it, is named by its path from there, so that both may move together. Any
    other store is named by its URL or absolute path.

    `actstore manifest export s3://bucket/esm2-8m -o esm2-8m.json`
    """
    from actstore.view.reports import report_manifest
    from actstore.view.tables import exported_view
    from actstore.workflows.export_manifest import export_manifest

    manifest = export_manifest(
        store, out, uri=uri, places=place or (), storage_options=parse_storage_options(storage_option)
    )
    report = report_manifest(manifest)
    print_report(report, as_json=json, view=lambda: exported_view(report, out))


@app.command()
@with_grouped_options
def subset(
    store: Annotated[str, typer.Argument(metavar="URI", help="A store, or a manifest file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; it must not exist.")],
    *,
    part: PartOptions,
    uri: ReaderPlace = None,
    place: Places = None,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a manifest of some sites, splits or tasks of a store, which stays where it is; nothing is copied.

    Whoever opens the file sees a store with these sites and rows. To have the bytes, too, use `actstore copy`. Rows of
    a list of sequences lie in all tasks, so they need a store of their own: `actstore copy SRC DST --sequences FILE`.

    `actstore manifest subset s3://bucket/prott5 --site resid_post.11 --split train --tasks 10% -o small.json`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.reports import report_manifest
    from actstore.view.tables import exported_view
    from actstore.workflows.subset_manifest import subset_manifest

    manifest = subset_manifest(
        store,
        out,
        **part.chosen(),
        uri=uri,
        places=place or (),
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    report = report_manifest(manifest)
    print_report(report, as_json=json, view=lambda: exported_view(report, out))


@app.command()
def merge(
    stores: Annotated[list[str], typer.Argument(metavar="URI...", help="Stores, or manifest files; at least two.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; it must not exist.")],
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a manifest that joins stores of other sequences, which stay where they are; nothing is copied.

    The stores have the same model, sites, encoding and calibration (`extract --calibration-of`), and no sequence in
    common. Whoever opens the file sees one store.

    `actstore manifest merge s3://bucket/swissprot s3://bucket/trembl -o both.json`
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.reports import report_manifest
    from actstore.view.tables import exported_view
    from actstore.workflows.merge_manifests import merge_manifests

    manifest = merge_manifests(
        stores,
        out,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    report = report_manifest(manifest)
    print_report(report, as_json=json, view=lambda: exported_view(report, out))


@app.command()
def show(file: ManifestPlace, storage_option: StorageOptions = None, json: Json = False) -> None:
    """Show the content of a manifest file, without reading the store.

    `actstore manifest show esm2-8m.json`

    `actstore manifest show https://example.org/shared/esm2-8m.json`
    """
    from actstore.store.read.manifest_files import read_manifest_anywhere
    from actstore.view.reports import report_manifest
    from actstore.view.tables import inspect_view

    report = report_manifest(read_manifest_anywhere(file, storage_options=parse_storage_options(storage_option)))
    print_report(report, as_json=json, view=lambda: inspect_view(report))


@app.command()
def validate(file: ManifestPlace, storage_option: StorageOptions = None, json: Json = False) -> None:
    """Check that a file is a valid manifest; exit 1 and print the problem if not.

    Only the file is checked. To compare it with its store, use `actstore inspect FILE`, and compare the digest with the
    published one.

    `actstore manifest validate esm2-8m.json`
    """
    from actstore.errors import ManifestError
    from actstore.store.read.manifest_files import is_manifest_url, read_manifest_anywhere

    try:
        manifest = read_manifest_anywhere(file, storage_options=parse_storage_options(storage_option))
    except ManifestError as error:
        if not (json and (is_manifest_url(file) or Path(file).is_file())):
            raise
        print_report({"file": file, "valid": False, "problem": str(error)}, as_json=True, view=str)
        raise typer.Exit(error.exit_code) from error
    report = {"file": file, "valid": True, "manifest_sha256": manifest.digest, "uri": manifest.uri}
    print_report(report, as_json=json, view=lambda: f"{file}: valid, sha256 {manifest.digest}")


@app.command()
def relocate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported manifest.")],
    uri: Annotated[str, typer.Option(help="Path or URL where the store is now.", show_default="none: it is needed")],
    member: Annotated[
        int | None,
        typer.Option(help="Number of the store that moved, of a merge; from 1 on.", show_default="none: not a merge"),
    ] = None,
    place: Places = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="New file to write.", show_default="FILE is replaced", rich_help_panel="Output"
        ),
    ] = None,
    storage_option: StorageOptions = None,
    json: Json = False,
) -> None:
    """Tell a manifest file where its store is now; the digest stays the same.

    The store there is compared with the manifest first. A store in the file's folder, or below it, is named by its path
    from there.

    `actstore manifest relocate esm2-8m.json --uri s3://new-bucket/esm2-8m`
    """
    from actstore.view.reports import report_manifest
    from actstore.view.tables import exported_view
    from actstore.workflows.relocate_manifest import relocate_manifest

    manifest = relocate_manifest(
        file, uri, member=member, places=place or (), out=out, storage_options=parse_storage_options(storage_option)
    )
    report = report_manifest(manifest)
    print_report(report, as_json=json, view=lambda: exported_view(report, out or file))


@app.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A manifest file, or a store.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    storage_option: StorageOptions = None,
    json: Json = False,
) -> None:
    """Show what distinguishes two stores, by their manifests alone; exit 1 if they are not the same.

    `actstore manifest diff mine.json theirs.json`
    """
    from actstore.view.tables import difference_view
    from actstore.workflows.diff_manifests import diff_manifests

    found = diff_manifests(one, other, storage_options=parse_storage_options(storage_option))
    print_report(found, as_json=json, view=lambda: difference_view(found._asdict()))
    if not found.same:
        raise typer.Exit(1)
