"""`trainer`: train sparse autoencoders and crosscoders on activations, from a store or as they are computed."""

from __future__ import annotations

import dataclasses
import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from actstore import errors
from trainers.cli import options
from trainers.cli.options import DictionaryChoice, MissingChoice, NormalisationChoice, OrderChoice

__all__ = ["DictionaryChoice", "NormalisationChoice", "OrderChoice", "app", "online", "read_from_store"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""
Train sparse autoencoders and crosscoders from a store of activations.

How fast does the store stream, and how well is it mixed?

    trainer read-from-store STORE --dictionary none

One site, TopK, eight times as many latents as features, once through the data:

    trainer read-from-store STORE --dictionary topk-sae --site resid_post.3

All sites in one dictionary:

    trainer read-from-store STORE --dictionary crosscoder-topk --out runs/all

It was killed; go on where its last checkpoint is:

    trainer read-from-store STORE --dictionary crosscoder-topk --out runs/all --resume

No store yet; the model computes the same rows in the same order:

    trainer online recipe.toml --dictionary topk-sae --site resid_post.3
""",
)


@app.command()
def read_from_store(
    uri: Annotated[str, typer.Argument(metavar="URI", help="A store, or a manifest file exported from one.")],
    *,
    dictionary: options.Dictionary = DictionaryChoice.TOPK_SAE,
    site: options.Sites = None,
    latents: options.Latents = None,
    expansion: options.Expansion = 8,
    k: options.K = None,
    sparsity: options.Sparsity = None,
    lr: options.Lr = None,
    normalisation: options.Normalisation = NormalisationChoice.UNIT,
    steps: options.Steps = None,
    batch_rows: options.BatchRows = 2048,
    seed: options.Seed = 0,
    order: options.Order = OrderChoice.WINDOWS,
    split: options.Split = "train",
    out: options.Out = None,
    resume: options.Resume = False,
    checkpoint_every: options.CheckpointEvery = 1000,
    buffer_bytes: options.BufferBytes = 256 << 20,
    device: options.Device = "auto",
    allow_incomplete: options.AllowIncomplete = False,
    storage_option: options.StorageOption = None,
    cache: options.Cache = None,
    cache_bytes: options.CacheBytes = None,
    on_missing: options.OnMissing = MissingChoice.ERROR,
    model_device: options.ModelDevice = "auto",
    most_passes: options.MostPasses = 1.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Stream a store, train a dictionary on it, and say how good it is on held-out rows.

    Weights, checkpoints and metrics go to the folder of the run; nothing there is ever overwritten.

    L1 penalty on two blocks, larger dictionary:

        trainer read-from-store STORE --dictionary crosscoder-l1 --site resid_post.2 --site resid_post.5 --latents 4096

    Train while extracting; what the first epoch computes, later ones read:

        trainer read-from-store STORE --on-missing store --site resid_post.3 --steps 20000

    Rates and scores for a script:

        trainer read-from-store STORE --site resid_post.3 --steps 500 --json | jq .explained_variance
    """
    mode = None if on_missing is MissingChoice.ERROR else on_missing.value
    _run(uri, {**locals(), "live": mode})


@app.command()
def online(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="A store, a manifest file exported from one, or a recipe (TOML).")
    ],
    *,
    dictionary: options.Dictionary = DictionaryChoice.TOPK_SAE,
    site: options.Sites = None,
    latents: options.Latents = None,
    expansion: options.Expansion = 8,
    k: options.K = None,
    sparsity: options.Sparsity = None,
    lr: options.Lr = None,
    normalisation: options.Normalisation = NormalisationChoice.UNIT,
    steps: options.Steps = None,
    batch_rows: options.BatchRows = 2048,
    seed: options.Seed = 0,
    order: options.Order = OrderChoice.WINDOWS,
    split: options.Split = "train",
    out: options.Out = None,
    resume: options.Resume = False,
    checkpoint_every: options.CheckpointEvery = 1000,
    buffer_bytes: options.BufferBytes = 256 << 20,
    device: options.Device = "auto",
    allow_incomplete: options.OnlineIncomplete = False,
    storage_option: options.StorageOption = None,
    cache: options.Cache = None,
    cache_bytes: options.CacheBytes = None,
    on_missing: options.OnlineMissing = MissingChoice.COMPUTE,
    sequences: options.Sequences = None,
    settings: options.Settings = None,
    model_device: options.ModelDevice = "auto",
    most_passes: options.MostPasses = 1.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
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
    if on_missing is not MissingChoice.COMPUTE:
        raise errors.UsageError(
            f"--on-missing {on_missing}: 'trainer online' computes all rows and writes none; read or fill a store with "
            "'trainer read-from-store'"
        )
    _run(uri, {**locals(), "live": "online", "recipe_options": _recipe_options(sequences, settings)})


def _recipe_options(sequences: list[str] | None, settings: list[str] | None) -> dict[str, Any]:
    from actstore import parse_settings

    return {"corpus.sequences": sequences, **parse_settings(settings)}


def _run(uri: str, given: dict[str, Any]) -> None:
    """Do what the options of a command say and print the result."""
    # Imported here, or `trainer --help` would wait for torch.
    from actstore import parse_storage_options, terminal_progress
    from trainers.fit.config import TrainConfig, make_config
    from trainers.workflows.options import RunOptions
    from trainers.workflows.read_from_store import read_from_store as train
    from trainers.workflows.stream_only import stream_only

    chosen: dict[str, Any] = {name: given[name] for name in TrainConfig.model_fields if name in given}
    chosen |= {name: value.value for name, value in chosen.items() if isinstance(value, StrEnum)}
    chosen["sites"] = tuple(given["site"]) if given["site"] else None
    streaming = given["dictionary"] is DictionaryChoice.NONE
    if streaming:
        del chosen["dictionary"]
    fields = {field.name for field in dataclasses.fields(RunOptions)}
    run = RunOptions(
        **{name: value for name, value in given.items() if name in fields},
        storage_options=parse_storage_options(given["storage_option"]),
    )
    work = stream_only if streaming else train
    document = work(uri, make_config(chosen), run, progress=terminal_progress(quiet=given["quiet"])).document()
    if given["as_json"]:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        _print_table(document)


def _print_table(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in document.items():
        if isinstance(value, dict):
            for key, one in value.items():
                table.add_row(f"  {key}", _text(one))
        else:
            table.add_row(name.replace("_", " "), _text(value))
    Console().print(table)


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(str(one) for one in value)
    return str(value)
