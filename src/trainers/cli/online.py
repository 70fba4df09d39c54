"""`trainer online`: train on the same rows, all computed by the model."""

from __future__ import annotations

from typing import Annotated

import typer

from actstore import errors, with_grouped_options
from trainers.cli import options
from trainers.cli.train import train

__all__ = ["online"]


@with_grouped_options
def online(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="A store, a manifest file exported from one, or a recipe (TOML).")
    ],
    *,
    training: options.TrainingOptions,
    place: options.PlaceOptions,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Of no effect: rows are computed, extracted or not.")
    ] = False,
    storage: options.StorageOptions,
    on_missing: Annotated[
        options.MissingChoice,
        typer.Option(
            help="Only `compute`, which is what this does about all rows; for the others use read-from-store."
        ),
    ] = options.MissingChoice.COMPUTE,
    recipe: options.RecipeOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
) -> None:
    """Train as `read-from-store` does, on the same rows in the same order, but have the model compute them all.

    Nothing is written but the folder of the run. A batch mixes rows of many proteins, so what was computed is kept
    until it is needed. If all of it fits into --cache-bytes, the model runs once over each protein; else more often,
    which is refused, saying how often, unless --most-passes allows it.

    Without a store:

        trainer online recipe.toml --site resid_post.3 --steps 500

    A recipe that names no files yet, on some:

        trainer online manifests/esm2-8m-uniref50.toml --sequences some.fasta --set rows.fraction=1.0 --site final_norm

    A split that does not fit into memory, kept on a local disk:

        trainer online recipe.toml --site resid_post.3 --cache /local/disk --cache-bytes 500000000000
    """
    if on_missing is not options.MissingChoice.COMPUTE:
        raise errors.UsageError(
            f"--on-missing {on_missing}: 'trainer online' computes all rows and writes none; read or fill a store with "
            "'trainer read-from-store'"
        )
    train(
        uri,
        training,
        place,
        storage,
        model,
        output,
        live="online",
        allow_incomplete=allow_incomplete,
        recipe_options=recipe.by_field(),
    )
