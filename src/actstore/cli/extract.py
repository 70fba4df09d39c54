"""`actstore extract`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Device,
    Dtype,
    Encoding,
    Fraction,
    Json,
    Quiet,
    Settings,
    StorageOptions,
    comma_separated,
    parse_duration,
    parse_recipe_fields,
    parse_storage_options,
    print_report,
)
from actstore.errors import UsageError

if TYPE_CHECKING:
    from actstore.contracts.recipe import Recipe
    from actstore.workflows.clusters.connect import Cluster
    from actstore.workflows.extraction.deadline import Stop
    from actstore.workflows.extraction.shares import Share

__all__ = ["RecipeOptions", "WorkerOptions", "extract"]


@dataclass(frozen=True, slots=True, repr=False)
class RecipeOptions:
    """Fields of the recipe."""

    PANEL: ClassVar = "Recipe"

    model: Annotated[
        str | None,
        typer.Option(
            help="Hugging Face name or local folder. Alone with --store: where the store's model is now.",
            show_default="of the recipe",
        ),
    ] = None
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the model.", show_default="main")] = (
        None
    )
    dtype: Dtype = None
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="FASTA (plain, .gz, .bz2, .xz, .zst) or Parquet: a path, a URL, or - for standard input; may be "
            "repeated.",
            show_default="of the recipe",
        ),
    ] = None
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="Site or glob; several with commas, or by repeating the option: `embed,resid_post.*,final_norm`.",
            show_default="resid_post.*",
        ),
    ] = None
    encoding: Encoding = None
    fraction: Fraction = None
    max_per_sequence: Annotated[
        int | None, typer.Option(help="Most rows from one sequence.", show_default="no limit, in rows")
    ] = None
    clusters: Annotated[
        str | None,
        typer.Option(
            help="MMseqs2 cluster TSV: homologs share a split.", show_default="none: sequences are independent"
        ),
    ] = None
    on_bad_record: Annotated[str | None, typer.Option(help="error, or skip and count.", show_default="error")] = None
    long_sequences: Annotated[str | None, typer.Option(help="window, truncate or skip.", show_default="window")] = None
    calibration_of: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="A store whose centre and scale of every channel are taken, so that both can be merged.",
            show_default="none: they are computed from a sample",
        ),
    ] = None
    compressor: Annotated[
        str | None, typer.Option(help="none, zstd, blosc, or auto: measured.", show_default="none")
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seeds splits, sampling and order.", show_default="0")] = None
    pickle_weights: Annotated[
        bool | None, typer.Option("--pickle-weights", help="Accept weights that are not safetensors.")
    ] = None
    remote_code: Annotated[
        bool | None, typer.Option("--remote-code", help="Run Python code of the model's repository.")
    ] = None
    settings: Settings = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of the recipe; None where nothing was given."""
        options = {
            "model.name": self.model,
            "model.revision": self.revision,
            "model.dtype": self.dtype,
            "model.pickle_weights": self.pickle_weights,
            "model.remote_code": self.remote_code,
            "corpus.sequences": self.sequences,
            "corpus.on_bad_record": self.on_bad_record,
            "corpus.long_sequences": self.long_sequences,
            "sites": comma_separated(self.site),
            "rows.fraction": self.fraction,
            "rows.max_per_sequence": self.max_per_sequence,
            "splits.clusters": self.clusters,
            "store.encoding": self.encoding,
            "store.calibration_of": self.calibration_of,
            "store.compressor": self.compressor,
            "seed": self.seed,
        }
        return parse_recipe_fields(options, self.settings)

    def moved_model(self, file: Path | None) -> str | None:
        """Return where the model of an existing store is now, if the options name that and nothing else."""
        given = [name for name, value in self.by_field().items() if value is not None]
        return self.model if file is None and given == ["model.name"] else None

    def recipe(self, file: Path | None) -> Recipe | None:
        """Return what to extract; None to continue the existing store."""
        from actstore.workflows.recipes import merge_options, parse_recipe, read_recipe

        options = self.by_field()
        given = [name for name, value in options.items() if value is not None]
        if file is not None:
            return read_recipe(file, options=options)
        if not given or self.moved_model(file) is not None:
            return None
        if not {"model.name", "corpus.sequences"} <= set(given):
            raise UsageError(
                f"{', '.join(given)} without a recipe: give RECIPE.toml, or at least --model and --sequences; "
                "--store alone continues an existing store"
            )
        return parse_recipe(merge_options({}, options), name="the options")


@dataclass(frozen=True, slots=True, repr=False)
class WorkerOptions:
    """Which workers do which tasks, and until when."""

    PANEL: ClassVar = "Many workers"

    executor: Annotated[
        str | None,
        typer.Option(
            metavar="serial|dask",
            help="serial: in this process. dask: on the workers of one of the next three options.",
            show_default="serial",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            help="Number of processes on this machine, each with the model; with --device cuda each on one GPU, in "
            "turn. With --slurm-config: number of jobs.",
            show_default="none",
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:PORT",
            help="Address of a running Dask scheduler; its workers may join and leave.",
            show_default="none",
        ),
    ] = None
    slurm_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Slurm jobs through dask-jobqueue: arguments of SLURMCluster in TOML, such as queue, cores, memory, "
            "walltime.",
            show_default="none",
        ),
    ] = None

    shard_of: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do only share I of N, counted from 1: for array jobs (`--shard-of $SLURM_ARRAY_TASK_ID/16`) and "
            "other independent processes. They may overlap; the last to finish writes the manifest.",
            show_default="1/1: all tasks",
        ),
    ] = None
    stop_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Begin no task that would not end within 90s, 30m, 47h, 2d from now, and exit with code 0; the "
            "same command continues. `0` only begins the store.",
            show_default="no limit",
        ),
    ] = None

    def share(self) -> Share | None:
        """Return the tasks to do; None for all."""
        from actstore.workflows.extraction.shares import parse_share

        return None if self.shard_of is None else parse_share(self.shard_of)

    def stop(self) -> Stop:
        """Return when to stop before the end."""
        from actstore.workflows.extraction.deadline import Stop

        return Stop(after_s=None if self.stop_after is None else parse_duration(self.stop_after, flag="--stop-after"))

    def cluster(self) -> Cluster | None:
        """Return the workers that do the tasks; None for this process."""
        from actstore.workflows.clusters.connect import ExistingScheduler, LocalWorkers, SlurmWorkers
        from actstore.workflows.clusters.slurm_config import read_slurm_config

        options = {"--workers": self.workers, "--scheduler": self.scheduler, "--slurm-config": self.slurm_config}
        given = [name for name, value in options.items() if value is not None]
        if self.executor not in {None, "serial", "dask"}:
            raise UsageError(f"--executor = {self.executor!r}: serial or dask")
        if self.executor != "dask":
            if given:
                raise UsageError(f"{', '.join(given)}: only with --executor dask")
            return None
        if self.scheduler is not None:
            if len(given) > 1:
                raise UsageError(f"{' and '.join(given)}: a scheduler that runs already has its own workers")
            return ExistingScheduler(self.scheduler)
        if self.slurm_config is not None:
            return SlurmWorkers(read_slurm_config(self.slurm_config), self.workers)
        if self.workers is None:
            raise UsageError("--executor dask: give --workers N, --scheduler ADDRESS or --slurm-config FILE")
        return LocalWorkers(self.workers)


@with_grouped_options
def extract(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe (TOML); options take precedence over it.")] = None,
    *,
    store: Annotated[
        str,
        typer.Option(help="Where the store is written: a path, s3://..., gs://...", show_default="none; needed"),
    ] = "",
    recipe_options: RecipeOptions,
    device: Device = "auto",
    storage_option: StorageOptions = None,
    worker_options: WorkerOptions,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a model over sequences and write its activations to a store.

    `actstore extract --model facebook/esm2_t6_8M_UR50D --sequences uniref50.fasta.gz --site "resid_post.*"
    --store s3://bucket/esm2-8m`

    `actstore extract recipe.toml --store /scratch/store`

    `actstore extract --store /scratch/store`  (continues an existing store; with --model if its folder has moved)

    You can stop it at any moment, also with kill -9: the same command continues with the tasks that have no commit.
    Ctrl-C and SIGTERM stop it in good order within 5 s: it drops the task in the model, finishes the tasks that are
    being written if that is possible in time, and exits with code 130 (Ctrl-C) or 143 (SIGTERM). A second Ctrl-C ends
    it at once.

    Any number of these commands may work on one store, on any machines: `--shard-of 3/16` does every 16th task and
    needs no scheduler; `--executor dask` gives each task to a free worker.
    """
    if not store:
        raise UsageError("--store is needed: where the store is written (a path or an fsspec URL)")
    from actstore.corpus.model_claims import check_model_folder

    stop = worker_options.stop()  # first: `--stop-after` counts from the start of the command
    asked = recipe_options.recipe(recipe)
    if asked is not None:
        check_model_folder(asked.model.name)  # before imports that take seconds
    from actstore.view.progress import terminal_progress
    from actstore.view.reports import kept_tasks
    from actstore.view.tables import extract_view
    from actstore.workflows.extract import extract_store

    with stop.on_signals():
        report = extract_store(
            asked,
            store,
            model=recipe_options.moved_model(recipe),
            device=device,
            storage_options=parse_storage_options(storage_option),
            progress=terminal_progress(quiet=quiet),
            cluster=worker_options.cluster(),
            share=worker_options.share(),
            stop=stop,
        )
    print_report(report, as_json=json, view=lambda: extract_view(report))
    if report.stopped in {"SIGINT", "SIGTERM"}:
        raise stop.interrupted(kept_tasks(report.uri, done=report.tasks_done, total=report.tasks_total))
