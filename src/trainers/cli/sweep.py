"""`trainer sweep`: several dictionaries on one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from actstore import with_grouped_options
from trainers.cli import options
from trainers.cli.table import print_result

if TYPE_CHECKING:
    from trainers.workflows.options import RunOptions
    from trainers.workflows.sweep import PlannedPass, SweepResult

__all__ = ["SweepPlaceOptions", "sweep"]


@dataclass(frozen=True, slots=True)
class SweepPlaceOptions:
    """Device, folder and memory of a sweep: fields of `RunOptions`."""

    PANEL: ClassVar = "Run"

    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep; each member has its own below it.", show_default="runs/STORE-SWEEP"),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the sweep in this folder. STORE and SWEEP may be left out; the same command without "
            "--resume goes on, too.",
            show_default="none",
        ),
    ] = None
    checkpoint_every: Annotated[
        int,
        typer.Option(min=1, help="Steps between checkpoints, of all members at once.", show_default="1,000 steps"),
    ] = 1000
    keep: Annotated[
        int,
        typer.Option(min=1, help="Checkpoints to keep of each member, the last ones.", show_default="3 checkpoints"),
    ] = 3
    eval_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps between evaluations on held-out rows.",
            show_default="a twentieth of the steps, at least 100",
        ),
    ] = None
    buffer_bytes: Annotated[
        int,
        typer.Option(
            min=1, help="Memory of the shuffle buffer for the sites of all members, in bytes.", show_default="256 MiB"
        ),
    ] = 256 << 20
    memory_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most memory, by the estimate, of members that are trained together; others wait for another pass.",
            show_default="four fifths of what is free",
        ),
    ] = None
    device: Annotated[str, typer.Option(help="Where training runs: auto, cpu, cuda or cuda:N.")] = "auto"


@with_grouped_options
def sweep(
    context: typer.Context,
    uri: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE", help="A store, or a manifest file exported from one; a resumed sweep knows it."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="SWEEP", help="The members, in TOML; a resumed sweep knows them."),
    ] = None,
    *,
    place: SweepPlaceOptions,
    allow_incomplete: Annotated[
        bool,
        typer.Option(
            "--allow-incomplete", help="Read a store that is still being extracted.", rich_help_panel="Access"
        ),
    ] = False,
    storage: options.AccessOptions,
    output: options.OutputOptions,
) -> None:
    """Train several dictionaries on the rows of a store, which is read once for as many as fit into memory.

    SWEEP says the members. Settings outside of tables are those of all members; each [[grid]] makes a member of every
    combination of its lists; each [[member]] is one more. Settings have the names of the options of `trainer
    read-from-store`, with _ for -, and `sites`. A file for four TopK dictionaries:

        sites = "resid_post.3"
        grid = {k = [16, 32], seed = [0, 1]}

    All members get the same batches, in the order that `order_seed` seeds. Each has the folder of a run below --out,
    and ends as a separate run with the options in its run.json would. A member that diverges stops alone; the others
    go on, and the command exits with 1. After Ctrl-C, SIGTERM or a kill, the same command goes on.

    Train, then compare on a page:

        trainer sweep STORE sweep.toml --out runs/k
        trainer report runs/k --html k.html
    """
    # Imported here: `trainer --help` must not wait for torch.
    from actstore import terminal_progress
    from trainers.workflows.stopping import Stopped
    from trainers.workflows.sweep import sweep as run_sweep

    try:
        result = run_sweep(
            uri,
            file,
            _run_options(options.given_in(context), place, storage, allow_incomplete=allow_incomplete),
            memory_bytes=place.memory_bytes,
            progress=terminal_progress(quiet=output.quiet),
            planned=None if output.quiet else _say_passes,
        )
    except Stopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(stopped.exit_code) from None
    _print(result, as_json=output.as_json)


def _run_options(
    given: options.Given, place: SweepPlaceOptions, storage: options.AccessOptions, *, allow_incomplete: bool
) -> RunOptions:
    """Return the options that stand on the command line."""
    from actstore import parse_storage_options
    from trainers.workflows.options import RunOptions

    chosen: dict[str, Any] = {
        name: value for name, value in asdict(place).items() if name in given and name != "memory_bytes"
    }
    chosen |= {name: getattr(storage, name) for name in ("cache", "cache_bytes") if name in given}
    if "allow_incomplete" in given:
        chosen["allow_incomplete"] = allow_incomplete
    if storage.store_uri is not None:
        chosen["uri"] = storage.store_uri
    if storage.storage_option:
        chosen["storage_options"] = parse_storage_options(storage.storage_option)
    return RunOptions(**chosen)


def _say_passes(passes: Sequence[PlannedPass]) -> None:
    """Say what is trained together, before it is."""
    members = sum(len(one.members) for one in passes)
    reading = "the rows are read once" if len(passes) == 1 else f"the rows are read {len(passes)} times"
    typer.echo(f"{members} dictionaries; {reading}:", err=True)
    for number, one in enumerate(passes, start=1):
        sites = one.sites[0] if len(one.sites) == 1 else f"{len(one.sites)} sites"
        size = f"about {one.bytes / 1e9:,.2f} GB"
        typer.echo(f"  pass {number}: {len(one.members)} on {sites}, {size}: {', '.join(one.members)}", err=True)


def _print(result: SweepResult, *, as_json: bool) -> None:
    """Print what became of the members; raises `Exit` if one failed."""
    from trainers.cli.report import print_runs
    from trainers.workflows.report import read_runs

    if as_json:
        print_result(result.document(), as_json=True)
    else:
        print_runs(read_runs([result.out]))
    for name, reason in result.failed.items():
        typer.echo(f"error: {name}: {reason}", err=True)
    if result.failed:
        raise typer.Exit(1)
