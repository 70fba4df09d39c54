"""Options of a run that are no fields of `TrainConfig`: where settings come from, access, model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final

import typer

__all__ = ["AccessOptions", "ModelOptions", "SetOptions", "SettingsOptions", "split_settings"]

_OF_TRAINING: Final = "train."


def split_settings(settings: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Separate settings of training, which begin with ``train.`` (it is removed), from others.

    Examples
    --------
    >>> split_settings(["train.lr=1e-3", "rows.fraction=0.1"])
    (['lr=1e-3'], ['rows.fraction=0.1'])
    """
    given = [one.strip() for one in settings or ()]
    ours = [one.removeprefix(_OF_TRAINING) for one in given if one.startswith(_OF_TRAINING)]
    return ours, [one for one in given if not one.startswith(_OF_TRAINING)]


@dataclass(frozen=True, slots=True)
class SettingsOptions:
    """Where the settings of training come from, beside their own options."""

    PANEL: ClassVar = "Training"

    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Settings of a published dictionary; `trainer presets` lists them. Other options take precedence.",
            show_default="none",
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings from a TOML file, such as `lr = 1e-3`, by the names of the options with `_`. They take "
            "precedence over those of --preset; other options, over both.",
            show_default="none",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class SetOptions:
    """Settings of training by name, where no recipe has `--set`."""

    PANEL: ClassVar = "Training"

    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any setting of training by the name of its option, in TOML: `--set lr=1e-3`, or "
            "`--set train.lr=1e-3` as in `trainer online`; may be repeated.",
            show_default="of preset and file",
        ),
    ] = None

    @property
    def of_training(self) -> list[str]:
        """All of them, without `train.`."""
        ours, others = split_settings(self.settings)
        return [*ours, *others]


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
