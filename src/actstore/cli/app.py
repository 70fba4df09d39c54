"""The command line `actstore`."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore.cli import extract, gc, inspect, manifest, plan, repair, verify
from actstore.cli.options import show_version

__all__ = ["actstore", "app"]

app = typer.Typer(
    name="actstore",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def actstore(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Extract protein language model activations once; train from the store any number of times.

    A recipe says what to extract: model, sequences, sites, encoding. `plan` tells what it will come to, `extract` does
    it (and continues where it stopped), `inspect` and `verify` look at the result, `repair` and `gc` put it
    right, `manifest` shares it. Then `trainer read-from-store URI` trains on it.

    Exit codes: 0 done, 1 failed, 2 usage.
    """


app.command()(plan.plan)
app.command()(extract.extract)
app.command()(inspect.inspect)
app.command()(verify.verify)
app.command()(repair.repair)
app.command()(gc.gc)
app.add_typer(manifest.app, name="manifest")
