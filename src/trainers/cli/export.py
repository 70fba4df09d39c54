"""`trainer export`: a dictionary in our own format, or in that of another library."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from actstore import with_grouped_options
from trainers.cli import options
from trainers.cli.table import print_result

__all__ = ["ExportChoice", "export"]


class ExportChoice(StrEnum):
    """Choices of --to."""

    SAFETENSORS = "safetensors"
    SAELENS = "saelens"
    DICTIONARY_LEARNING = "dictionary-learning"
    SPARSIFY = "sparsify"
    CROSSCODER = "crosscoder"


@with_grouped_options
def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Folder of a run, a checkpoint, an exported folder, or hf://user/name[@revision]."
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="New folder.")],
    *,
    to: Annotated[
        ExportChoice, typer.Option(help="Format; `safetensors` is ours, and holds every dictionary.")
    ] = ExportChoice.SAFETENSORS,
    output: options.ReportOptions,
) -> None:
    """Write a trained dictionary into a folder, for `trainers.load` or for another library.

    Weights are in raw units: whoever loads the folder gives it the rows of the model as they are. What a format cannot
    hold is refused with the reason.

    For SAELens, `SAE.load_from_disk("DST")`:

        trainer export runs/sae exported --to saelens
    """
    from trainers.workflows.exchange import export_run

    print_result(export_run(run, destination, to=to.value).document(), as_json=output.as_json)
