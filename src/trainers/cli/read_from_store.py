"""`trainer read-from-store`: train on the rows of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from actstore import with_grouped_options
from trainers.cli import options
from trainers.cli.train import train
from trainers.workflows.options import LiveMode

__all__ = ["read_from_store"]

_LIVE: Final[Mapping[options.MissingChoice, LiveMode | None]] = {
    options.MissingChoice.ERROR: None,
    options.MissingChoice.COMPUTE: "compute",
    options.MissingChoice.STORE: "store",
}


@with_grouped_options
def read_from_store(
    context: typer.Context,
    uri: Annotated[
        str | None,
        typer.Argument(metavar="URI", help="A store, or a manifest file exported from one; a resumed run knows it."),
    ] = None,
    *,
    settings: options.SetOptions,
    training: options.TrainingOptions,
    place: options.PlaceOptions,
    allow_incomplete: Annotated[
        bool,
        typer.Option(
            "--allow-incomplete", help="Read a store that is still being extracted.", rich_help_panel="Access"
        ),
    ] = False,
    storage: options.AccessOptions,
    on_missing: Annotated[
        options.MissingChoice,
        typer.Option(
            help="Rows not extracted yet: refuse; `compute` them and write nothing; or compute and `store` them, so "
            "that the first epoch fills the store.",
            rich_help_panel="Model",
        ),
    ] = options.MissingChoice.ERROR,
    model: options.ModelOptions,
    output: options.OutputOptions,
) -> None:
    """Stream a store, train a dictionary on it, and score it on held-out rows.

    Weights, checkpoints and metrics go to the folder of the run; no existing run is ever overwritten. Ctrl-C and
    SIGTERM end the step in hand, keep a checkpoint of it, print the command that goes on, and exit with 130 or 143. A
    run whose loss is not finite, that falls apart, or that ends below the mean of the rows exits with 1.

    Go on with a run, here for more steps than before:

        trainer read-from-store --resume runs/sae --steps 50000

    L1 penalty on two blocks, larger dictionary:

        trainer read-from-store STORE --dictionary crosscoder-l1 --site resid_post.2,resid_post.5 --latents 4096

    Train while extracting; later epochs read the rows that the first one computes:

        trainer read-from-store STORE --on-missing store --site resid_post.3 --steps 20000

    Rates and scores for a script:

        trainer read-from-store STORE --site resid_post.3 --steps 500 --json | jq .explained_variance
    """
    given = options.given_in(context)
    fixed: dict[str, Any] = {"live": _LIVE[on_missing]} if "on_missing" in given else {}
    if "allow_incomplete" in given:
        fixed["allow_incomplete"] = allow_incomplete
    train(given, uri, training, place, storage, model, output, settings=settings.of_training, fixed=fixed)
