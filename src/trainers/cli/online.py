"""`trainer online`: train on the same rows, all computed by the model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from actstore import errors, with_grouped_options
from trainers.cli import options
from trainers.cli.train import train

__all__ = ["online"]


@with_grouped_options
def online(
    context: typer.Context,
    uri: Annotated[
        str | None,
        typer.Argument(
            metavar="URI",
            help="A store, a manifest file exported from one, or a recipe (TOML); a resumed run knows it.",
        ),
    ] = None,
    *,
    training: options.TrainingOptions,
    place: options.PlaceOptions,
    allow_incomplete: Annotated[
        bool,
        typer.Option(
            "--allow-incomplete", help="No effect: rows are computed, extracted or not.", rich_help_panel="Access"
        ),
    ] = False,
    storage: options.AccessOptions,
    on_missing: Annotated[
        options.MissingChoice,
        typer.Option(
            help="Only `compute`: this command computes all rows; for the others use read-from-store.",
            rich_help_panel="Model",
        ),
    ] = options.MissingChoice.COMPUTE,
    recipe: options.OnlineRecipeOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
) -> None:
    """Train as `read-from-store` does, on the same rows in the same order, but let the model compute all of them.

    Only the folder of the run is written. A batch mixes rows of many proteins, so computed rows are kept until they
    are needed. If all of them fit into --cache-bytes, the model runs once over each protein. Otherwise it runs more
    often: the command stops and says how often, unless --most-passes allows it.

    Without a store:

        trainer online recipe.toml --site resid_post.3 --steps 500

    A recipe without files, on files that you name:

        trainer online manifests/esm2-8m-uniref50.toml --sequences some.fasta --set rows.fraction=1.0 --site final_norm

    A split too large for memory, kept on a local disk:

        trainer online recipe.toml --site resid_post.3 --cache /local/disk --cache-bytes 500000000000
    """
    if on_missing is not options.MissingChoice.COMPUTE:
        raise errors.UsageError(
            f"--on-missing {on_missing}: 'trainer online' computes all rows and writes none; read or fill a store with "
            "'trainer read-from-store'"
        )
    given = options.given_in(context)
    fixed: dict[str, Any] = {"live": "online"}
    if "allow_incomplete" in given:
        fixed["allow_incomplete"] = allow_incomplete
    if "sequences" in given or recipe.of_recipe:
        fixed["recipe_options"] = recipe.by_field()
    train(given, uri, training, place, storage, model, output, settings=recipe.of_training, fixed=fixed)
