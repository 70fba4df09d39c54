"""`actstore extract`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from actstore.cli.options import (
    Device,
    Json,
    Quiet,
    Settings,
    StorageOptions,
    comma_separated,
    parse_duration,
    parse_settings,
    parse_storage_options,
    print_report,
)
from actstore.errors import UsageError

if TYPE_CHECKING:
    from actstore.contracts.recipe import Recipe
    from actstore.workflows.clusters.connect import Cluster

__all__ = ["extract"]

_MANY: Final = "Many workers"
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="serial|dask",
        rich_help_panel=_MANY,
        help="serial: in this process (default). dask: on the workers of one of the following three.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        rich_help_panel=_MANY,
        help="This many processes on this machine, each with the model; with --device cuda each on one GPU, in turn. "
        "With --slurm-config: this many jobs.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        rich_help_panel=_MANY,
        help="The workers of a Dask scheduler that runs already; they may come and go.",
    ),
]
SlurmConfig = Annotated[
    Path | None,
    typer.Option(
        "--slurm-config",
        metavar="FILE",
        rich_help_panel=_MANY,
        help="Slurm jobs through dask-jobqueue: arguments of SLURMCluster in TOML, such as queue, cores, memory, "
        "walltime.",
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard-of",
        metavar="I/N",
        rich_help_panel=_MANY,
        help="Do only share I of N, counted from 1: for array jobs (`--shard-of $SLURM_ARRAY_TASK_ID/16`) and anything "
        "else that starts processes. They may overlap; the last to finish writes the manifest.",
    ),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        "--stop-after",
        metavar="TIME",
        rich_help_panel=_MANY,
        help="Begin no task that would not end within 90s, 30m, 47h, 2d from now, and leave with exit code 0; the same "
        "command continues. `0` only begins the store.",
    ),
]


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
    executor: ExecutorName = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    slurm_config: SlurmConfig = None,
    shard_of: ShardOf = None,
    stop_after: StopAfter = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a model over sequences and write its activations to a store.

    `actstore extract --model facebook/esm2_t6_8M_UR50D --sequences uniref50.fasta.gz --sites "resid_post.*"
    --store s3://bucket/esm2-8m`

    `actstore extract recipe.toml --store /scratch/store`

    `actstore extract --store /scratch/store`  (continues what is there)

    It may be stopped at any moment, also with kill -9: the same command continues with the tasks that have no commit.
    SIGTERM stops it in good order: what is in the model is dropped, what is being written is finished, the exit code
    is 0.

    Any number of these may work on one store, from any machines: `--shard-of 3/16` does every 16th task and needs no
    scheduler; `--executor dask` hands tasks to whichever worker is free.
    """
    from actstore.workflows.extraction.deadline import Stop

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
    stop = Stop(after_s=None if stop_after is None else parse_duration(stop_after, flag="--stop-after"))
    with stop.on_sigterm():  # before what takes seconds to import
        from actstore.view.progress import terminal_progress
        from actstore.view.tables import extract_view
        from actstore.workflows.extract import extract_store
        from actstore.workflows.extraction.shares import parse_share

        report = extract_store(
            _asked(recipe, options),
            store,
            device=device,
            storage_options=parse_storage_options(storage_option),
            progress=terminal_progress(quiet=quiet),
            cluster=_cluster(executor, workers, scheduler, slurm_config),
            share=None if shard_of is None else parse_share(shard_of),
            stop=stop,
        )
    print_report(report, as_json=json, view=lambda: extract_view(report))


def _asked(recipe: Path | None, options: Mapping[str, Any]) -> Recipe | None:
    """Return what to extract; None to continue what is there."""
    from actstore.workflows.recipes import merge_options, parse_recipe, read_recipe

    given = [name for name, value in options.items() if value is not None]
    if recipe is not None:
        return read_recipe(recipe, options=options)
    if not given:
        return None
    if not {"model.name", "corpus.sequences"} <= set(given):
        raise UsageError(
            f"{', '.join(given)} without a recipe: give RECIPE.toml, or at least --model and --sequences; "
            "--store alone continues what is there"
        )
    return parse_recipe(merge_options({}, options), name="the options")


def _cluster(
    executor: str | None, workers: int | None, scheduler: str | None, slurm_config: Path | None
) -> Cluster | None:
    """Return who does the tasks; None for this process."""
    from actstore.workflows.clusters.connect import ExistingScheduler, LocalWorkers, SlurmWorkers
    from actstore.workflows.clusters.slurm_config import read_slurm_config

    options = {"--workers": workers, "--scheduler": scheduler, "--slurm-config": slurm_config}
    given = [name for name, value in options.items() if value is not None]
    if executor not in {None, "serial", "dask"}:
        raise UsageError(f"--executor = {executor!r}: serial or dask")
    if executor != "dask":
        if given:
            raise UsageError(f"{', '.join(given)}: only with --executor dask")
        return None
    if scheduler is not None:
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)}: a scheduler that runs already has its own workers")
        return ExistingScheduler(scheduler)
    if slurm_config is not None:
        return SlurmWorkers(read_slurm_config(slurm_config), workers)
    if workers is None:
        raise UsageError("--executor dask: give --workers N, --scheduler ADDRESS or --slurm-config FILE")
    return LocalWorkers(workers)
