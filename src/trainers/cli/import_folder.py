"""`trainer import`: a dictionary that another library trained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from actstore import comma_separated, with_grouped_options
from trainers.cli import options
from trainers.cli.table import print_result

__all__ = ["ImportChoice", "SourceOptions", "TransformChoice", "import_folder"]


class ImportChoice(StrEnum):
    """Choices of --from."""

    SAELENS = "saelens"
    DICTIONARY_LEARNING = "dictionary-learning"
    SPARSIFY = "sparsify"
    CROSSCODER = "crosscoder"
    INTERPLM = "interplm"
    ESMC = "esmc"


class TransformChoice(StrEnum):
    """Choices of --row-transform."""

    NONE = "none"
    ROW_ZSCORE = "row-zscore"
    ROW_SQRT_D = "row-sqrt-d"


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the files may not say: keywords of `trainers.import_dictionary`."""

    PANEL: ClassVar = "Origin"

    model: Annotated[
        str | None,
        typer.Option(help="Model whose activations it reads.", show_default="as the folder says, or an error"),
    ] = None
    revision: Annotated[str | None, typer.Option(help="Revision of the model.", show_default="unknown")] = None
    weights_sha256: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST",
            help="SHA-256 of the weights of the model, as a manifest has it.",
            show_default="unknown",
        ),
    ] = None
    site: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of the site; of a crosscoder one for each, in order, with commas or by repeating the option.",
            show_default="as the folder says, or an error",
        ),
    ] = None
    module: Annotated[
        list[str] | None,
        typer.Option(help="Path of the module whose output the site is; one for each site.", show_default="unknown"),
    ] = None
    row_transform: Annotated[
        TransformChoice | None,
        typer.Option(
            help="Done to each row before it is encoded: z-score over its features, or norm sqrt(D).",
            show_default="as the folder says",
        ),
    ] = None
    input_scale: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="Factor of the rows in training, if the weights do not have it yet; one, or one for each site.",
            show_default="1, raw rows",
        ),
    ] = None
    license: Annotated[
        str | None, typer.Option(help="Licence of the dictionary.", show_default="as the folder says")
    ] = None
    citation: Annotated[str | None, typer.Option(help="How to cite it.", show_default="as the folder says")] = None


@with_grouped_options
def import_folder(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Folder of another library, or a file of weights in it.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="New folder of ours.")],
    *,
    from_format: Annotated[
        ImportChoice | None, typer.Option("--from", help="Format of SRC.", show_default="recognised by its files")
    ] = None,
    origin: SourceOptions,
    output: options.ReportOptions,
) -> None:
    """Read a dictionary of another library, and write it into a folder for `trainers.load`.

    Formats: SAELens 6, dictionary_learning, sparsify, InterPLM, SAEs of ESMC, crosscoders. Files are read as data, and
    nothing in them is run. What the folder does not say, such as the model and the site, must be given.

    An SAE of InterPLM on its layer 4, which is the output of block 3:

        trainer import layer_4 imported --model facebook/esm2_t6_8M_UR50D --site resid_post.3
    """
    from trainers.workflows.exchange import import_folder as import_from

    transform = origin.row_transform
    scales = origin.input_scale
    report = import_from(
        source,
        destination,
        format=None if from_format is None else from_format.value,
        model=origin.model,
        revision=origin.revision,
        weights_sha256=origin.weights_sha256,
        sites=comma_separated(origin.site),
        modules=comma_separated(origin.module),
        row_transform=None if transform is None else transform.value,
        input_scale=scales[0] if scales and len(scales) == 1 else scales or None,
        licence=origin.license,
        citation=origin.citation,
    )
    print_result(report.document(), as_json=output.as_json)
