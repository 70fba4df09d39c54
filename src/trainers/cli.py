"""`trainer`: train sparse autoencoders and crosscoders from a store of activations."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from actstore import run_command

__all__ = ["DictionaryChoice", "NormalisationChoice", "OrderChoice", "app", "main", "read_from_store"]

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
""",
)


class DictionaryChoice(StrEnum):
    """Choices of --dictionary."""

    TOPK_SAE = "topk-sae"
    RELU_SAE = "relu-sae"
    CROSSCODER_TOPK = "crosscoder-topk"
    CROSSCODER_L1 = "crosscoder-l1"
    CROSSCODER_L2 = "crosscoder-l2"
    NONE = "none"


class NormalisationChoice(StrEnum):
    """Choices of --normalisation."""

    UNIT = "unit"
    SQRT_D = "sqrt_d"


class OrderChoice(StrEnum):
    """In which order rows come."""

    WINDOWS = "windows"
    UNIFORM = "uniform"


@app.callback()
def _trainer() -> None:
    """Keep `read-from-store` a subcommand while it is the only one."""


@app.command()
def read_from_store(
    uri: Annotated[str, typer.Argument(metavar="URI", help="A store, or a manifest file exported from one.")],
    *,
    dictionary: Annotated[
        DictionaryChoice, typer.Option(help="What to train; `none` only streams.")
    ] = DictionaryChoice.TOPK_SAE,
    site: Annotated[list[str] | None, typer.Option(help="Site or glob; repeat for several. [default: all]")] = None,
    latents: Annotated[int | None, typer.Option(help="Dictionary size F. [default: expansion x features]")] = None,
    expansion: Annotated[int, typer.Option(help="F over the features of a site.")] = 8,
    k: Annotated[int | None, typer.Option(help="Latents kept for each row (TopK). [default: 32]")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Coefficient of the penalty (relu-sae, l1, l2).")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate. [default: 2e-3 sqrt(1024 / F)]")] = None,
    normalisation: Annotated[
        NormalisationChoice, typer.Option(help="Scale of each site: mean square norm 1, or mean norm sqrt(D).")
    ] = NormalisationChoice.UNIT,
    steps: Annotated[int | None, typer.Option(help="Batches. [default: once through the split]")] = None,
    batch_rows: Annotated[int, typer.Option(help="Rows of a batch.")] = 2048,
    seed: Annotated[int, typer.Option(help="Seeds initial weights and order of rows.")] = 0,
    order: Annotated[
        OrderChoice, typer.Option(help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).")
    ] = OrderChoice.WINDOWS,
    split: Annotated[str, typer.Option(help="Split to train on.")] = "train",
    out: Annotated[Path | None, typer.Option(help="Folder of the run. [default: runs/DICTIONARY-SITES-seedN]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the folder.")] = False,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 1000,
    buffer_bytes: Annotated[int, typer.Option(min=1, help="Memory of the shuffle buffer.")] = 256 << 20,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Read a store that is still being extracted.")
    ] = False,
    storage_option: Annotated[
        list[str] | None,
        typer.Option("--storage-option", metavar="KEY=VALUE", help="Passed to fsspec; may be repeated."),
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Local folder that keeps what is read of a remote store.")] = None,
    cache_bytes: Annotated[int | None, typer.Option(min=1, help="How much it may hold, with --cache.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Stream a store, train a dictionary on it, and say how good it is on held-out rows.

    Weights, checkpoints and metrics go to the folder of the run; nothing there is ever overwritten.

    L1 penalty on two blocks, larger dictionary:

        trainer read-from-store STORE --dictionary crosscoder-l1 --site resid_post.2 --site resid_post.5 --latents 4096

    Rates and scores for a script:

        trainer read-from-store STORE --site resid_post.3 --steps 500 --json | jq .explained_variance
    """
    # Imported here, or `trainer --help` would wait for torch.
    from actstore import parse_storage_options, terminal_progress
    from trainers.workflows.options import RunOptions
    from trainers.workflows.read_from_store import make_config, stream_only
    from trainers.workflows.read_from_store import read_from_store as train

    chosen: dict[str, Any] = {
        "sites": tuple(site) if site else None,
        "latents": latents,
        "expansion": expansion,
        "k": k,
        "sparsity": sparsity,
        "lr": lr,
        "normalisation": normalisation.value,
        "steps": steps,
        "batch_rows": batch_rows,
        "seed": seed,
        "order": order.value,
        "split": split,
    }
    if dictionary is not DictionaryChoice.NONE:
        chosen["dictionary"] = dictionary.value
    options = RunOptions(
        out=out,
        resume=resume,
        device=device,
        buffer_bytes=buffer_bytes,
        checkpoint_every=checkpoint_every,
        allow_incomplete=allow_incomplete,
        storage_options=parse_storage_options(storage_option),
        cache=cache,
        cache_bytes=cache_bytes,
    )
    work = stream_only if dictionary is DictionaryChoice.NONE else train
    document = work(uri, make_config(chosen), options, progress=terminal_progress(quiet=quiet)).document()
    if as_json:
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


def main() -> None:
    """Run the command line."""
    run_command(app)
