"""`actstore extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actstore.cli.options import (
    Device,
    Json,
    Quiet,
    Settings,
    StorageOptions,
    comma_separated,
    parse_settings,
    parse_storage_options,
    print_report,
)
from actstore.errors import UsageError

__all__ = ["extract"]


def extract(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe (TOML); options take precedence over it.")] = None,
    store: Annotated[str, typer.Option("--store", help="Where the store is written: a path, s3://..., gs://...")] = "",
    model: Annotated[str | None, typer.Option(help="Hugging Face name or local folder.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the model.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    sequences: Annotated[
        list[str] | None, typer.Option(help="FASTA (also .gz) or Parquet, path or URL; may be repeated.")
    ] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(help="Sites or globs, comma-separated: `embed,resid_post.*,final_norm`; may be repeated."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="int8, int4, float16 or bfloat16.")] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the residues of each sequence.")] = None,
    max_per_sequence: Annotated[int | None, typer.Option(help="Most rows from one sequence.")] = None,
    clusters: Annotated[str | None, typer.Option(help="MMseqs2 cluster TSV: homologs share a split.")] = None,
    on_bad_record: Annotated[str | None, typer.Option(help="error, or skip and count.")] = None,
    long_sequences: Annotated[str | None, typer.Option(help="window, truncate or skip.")] = None,
    compressor: Annotated[str | None, typer.Option(help="none, zstd, blosc, or auto: measured.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seeds splits, sampling and order.")] = None,
    pickle_weights: Annotated[
        bool | None, typer.Option("--pickle-weights", help="Accept weights that are not safetensors.")
    ] = None,
    remote_code: Annotated[
        bool | None, typer.Option("--remote-code", help="Run Python code of the model's repository.")
    ] = None,
    settings: Settings = None,
    device: Device = "cpu",
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a model over sequences and write its activations to a store.

    `actstore extract --model facebook/esm2_t6_8M_UR50D --sequences uniref50.fasta.gz --sites "resid_post.*"
    --store s3://bucket/esm2-8m`

    `actstore extract recipe.toml --store /scratch/store`

    `actstore extract --store /scratch/store`  (continues what is there)

    It may be stopped at any moment, also with kill -9: the same command continues with the tasks that have no commit.
    """
    from actstore.view.progress import terminal_progress
    from actstore.view.tables import extract_view
    from actstore.workflows.extract import extract_store
    from actstore.workflows.recipes import merge_options, parse_recipe, read_recipe

    if not store:
        raise UsageError("--store is needed: where the store is written (a path or an fsspec URL)")
    options = {
        "model.name": model,
        "model.revision": revision,
        "model.dtype": dtype,
        "model.pickle_weights": pickle_weights,
        "model.remote_code": remote_code,
        "corpus.sequences": sequences,
        "corpus.on_bad_record": on_bad_record,
        "corpus.long_sequences": long_sequences,
        "sites": comma_separated(sites),
        "rows.fraction": fraction,
        "rows.max_per_sequence": max_per_sequence,
        "splits.clusters": clusters,
        "store.encoding": encoding,
        "store.compressor": compressor,
        "seed": seed,
        **parse_settings(settings),
    }
    given = [name for name, value in options.items() if value is not None]
    if recipe is not None:
        asked = read_recipe(recipe, options=options)
    elif given and not (model and sequences):
        raise UsageError(
            f"{', '.join(given)} without a recipe: give RECIPE.toml, or at least --model and --sequences; "
            "--store alone continues what is there"
        )
    elif given:
        asked = parse_recipe(merge_options({}, options), name="the options")
    else:
        asked = None
    report = extract_store(
        asked,
        store,
        device=device,
        storage_options=parse_storage_options(storage_option),
        progress=terminal_progress(quiet=quiet),
    )
    print_report(report, as_json=json, view=lambda: extract_view(report))
