"""Options of a run that are no fields of `TrainConfig`: access and model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

__all__ = ["AccessOptions", "ModelOptions"]


@dataclass(frozen=True, slots=True, repr=False)
class AccessOptions:
    """Access to the store, and the cache of its bytes."""

    PANEL: ClassVar = "Access"

    storage_option: Annotated[
        list[str] | None,
        typer.Option(
            "--storage-option",
            metavar="KEY=VALUE",
            help="Passed to fsspec; may be repeated.",
            show_default="of the environment",
        ),
    ] = None
    store_uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            metavar="URI",
            help="Where the store of a manifest file is, if not where the file says.",
            show_default="as the file says",
        ),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(help="Local folder that keeps rows read from a remote store, or computed.", show_default="memory"),
    ] = None
    cache_bytes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most bytes to keep; needed with --cache.", show_default="4294967296 bytes of computed rows"
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How rows are computed: fields of `RunOptions`."""

    PANEL: ClassVar = "Model"

    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or Hugging Face name that has the model now.", show_default="as the store or recipe says"
        ),
    ] = None
    model_device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")] = "auto"
    most_passes: Annotated[
        float,
        typer.Option(
            min=1,
            help="How often an epoch may compute the rows of a protein; more is refused at the start.",
            show_default="1 pass",
        ),
    ] = 1.0
