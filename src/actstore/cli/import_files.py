"""`actstore import`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from actstore.cli.grouped import with_grouped_options
from actstore.cli.options import (
    Encoding,
    Json,
    Quiet,
    Settings,
    StorageOptions,
    parse_duration,
    parse_recipe_fields,
    parse_storage_options,
    print_report,
)
from actstore.errors import UsageError

if TYPE_CHECKING:
    from actstore.workflows.extraction.deadline import Stop
    from actstore.workflows.extraction.shares import Share

__all__ = ["RowOptions", "RunLimits", "SourceOptions", "import_files"]


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the files are."""

    PANEL: ClassVar = "Files"

    format: Annotated[
        str | None,
        typer.Option(
            metavar="pt|safetensors|npy|hf|saelens|activault|interplm|bionemo|h5",
            help="Format of the files.",
            show_default="recognised, and said",
        ),
    ] = None
    sequences: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="FASTA or Parquet with the residues: of the ids in the files; or, if they have none, of all rows in "
            "their order.",
            show_default="residues unknown",
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(help="Name of the model, if you know it; recorded as you say it.", show_default="unknown"),
    ] = None
    keys: Annotated[
        str | None,
        typer.Option(
            metavar="sites|ids",
            help="What the names of several arrays in one file are; of the same rows they seem sites, else ids.",
            show_default="by their shapes",
        ),
    ] = None

    def by_name(self) -> dict[str, Any]:
        """Return the arguments of `import_store`."""
        if self.keys not in {None, "sites", "ids"}:
            raise UsageError(f"--keys = {self.keys!r}: sites or ids")
        return {
            "format": self.format,
            "sequences": self.sequences,
            "model": self.model,
            "keys": self.keys or "auto",
        }


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What is written."""

    PANEL: ClassVar = "Recipe"

    encoding: Encoding = None
    fraction: Annotated[
        float | None, typer.Option(help="Share of the rows of each sequence.", show_default="1.0: all rows")
    ] = None
    max_per_sequence: Annotated[
        int | None, typer.Option(help="Most rows from one sequence.", show_default="no limit, in rows")
    ] = None
    clusters: Annotated[
        str | None,
        typer.Option(
            help="MMseqs2 cluster TSV: homologs share a split.", show_default="none: sequences are independent"
        ),
    ] = None
    compressor: Annotated[
        str | None, typer.Option(help="none, zstd, blosc, or auto: measured.", show_default="none")
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seeds splits, sampling and order.", show_default="0")] = None
    settings: Settings = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of a recipe; None where nothing was given."""
        options = {
            "store.encoding": self.encoding,
            "rows.fraction": self.fraction,
            "rows.max_per_sequence": self.max_per_sequence,
            "splits.clusters": self.clusters,
            "store.compressor": self.compressor,
            "seed": self.seed,
        }
        return parse_recipe_fields(options, self.settings)

    def refuse(self) -> None:
        """Refuse options where the recipe of a store is kept."""
        if given := [name for name, value in self.by_field().items() if value is not None]:
            raise UsageError(f"{', '.join(given)} with --repair: the recipe of the store is kept")


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Which tasks a run does, and until when."""

    PANEL: ClassVar = "Many runs"

    shard_of: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do only share I of N, counted from 1; the last to finish writes the manifest.",
            show_default="1/1: all tasks",
        ),
    ] = None
    stop_after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Begin no task that would not end within 90s, 30m, 2d from now, and exit with code 0; the same "
            "command continues.",
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


@with_grouped_options
def import_files(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="[SITE=]SOURCE... URI",
            help="Local folders or files with activations, then where the store is written.",
        ),
    ],
    *,
    source: SourceOptions,
    rows: RowOptions,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Write damaged tasks of the store again from the files; exit 1 if any is left."),
    ] = False,
    limits: RunLimits,
    storage_option: StorageOptions = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a store of activations that you have already.

    `actstore import acts/ /scratch/store`  (tensors [N, D] or [B, T, D] in .pt, .safetensors or .npy)

    `actstore import per-residue.h5 /scratch/store --sequences proteins.fasta --model Rostlab/prot_t5_xl_uniref50`

    `actstore import resid_post.3=acts/layer_3 resid_post.5=acts/layer_5 s3://bucket/store`  (sites of the same rows)

    Rows are shuffled, encoded and committed as in `extract`, and all commands work on the store. What the files do not
    say (ids, positions, residues, tokens, the model) is recorded as unknown. If it is stopped, the same command
    continues.

    Nothing in the files is run. HDF5 needs `pip install 'actstore[import]'`.
    """
    if len(places) < 2:
        raise UsageError("name a source and the store: actstore import SOURCE URI")
    from actstore.view.progress import terminal_progress
    from actstore.view.reports import kept_rows
    from actstore.view.tables import import_view, repair_view
    from actstore.workflows.import_store import import_store, repair_imported

    stop = limits.stop()
    *sources, store = places
    common = source.by_name() | {
        "storage_options": parse_storage_options(storage_option),
        "progress": terminal_progress(quiet=quiet),
    }
    if repair:
        rows.refuse()
        repaired = repair_imported(sources, store, **common)
        print_report(repaired, as_json=json, view=lambda: repair_view(repaired))
        if not repaired.ok:
            raise typer.Exit(1)
        return
    with stop.on_signals():
        report = import_store(sources, store, recipe_options=rows.by_field(), share=limits.share(), stop=stop, **common)
    print_report(report, as_json=json, view=lambda: import_view(report))
    done = report.store
    if done.stopped in {"SIGINT", "SIGTERM"}:
        raise stop.interrupted(kept_rows(done.uri, done=done.tasks_done, total=done.tasks_total))
