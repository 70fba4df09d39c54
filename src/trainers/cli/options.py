"""The options of the commands, each defined once, in groups."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from actstore import parse_recipe_fields
from trainers.cli.choices import (
    BiasStartChoice,
    DictionaryChoice,
    GroupDrawChoice,
    L0PenaltyChoice,
    MissingChoice,
    NormalisationChoice,
    OrderChoice,
    PrecisionChoice,
)
from trainers.cli.run_options import AccessOptions, ModelOptions, SetOptions, SettingsOptions, split_settings
from trainers.cli.training_options import TrainingOptions

__all__ = [
    "AccessOptions",
    "BiasStartChoice",
    "DictionaryChoice",
    "Given",
    "GroupDrawChoice",
    "L0PenaltyChoice",
    "MissingChoice",
    "ModelOptions",
    "NormalisationChoice",
    "OnlineRecipeOptions",
    "OrderChoice",
    "OutputOptions",
    "PlaceOptions",
    "PrecisionChoice",
    "ReportOptions",
    "SetOptions",
    "SettingsOptions",
    "TrainingOptions",
    "given_in",
]

Given = AbstractSet[str]
"""Names of parameters of a command."""


def given_in(context: typer.Context) -> Given:
    """Return the names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Device and folder of a training run: fields of `RunOptions`."""

    PANEL: ClassVar = "Run"

    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.", show_default="in runs/, named by store, dictionary, sites and time"),
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the run in this folder, or from one of its checkpoints. All options are those of the run; "
            "give only --steps, --out and others that do not change the result.",
            show_default="none: a new run",
        ),
    ] = None
    accumulate: Annotated[
        int,
        typer.Option(
            min=1,
            help="Passes for one update, each over an equal part of the batch: less memory for the same update.",
            show_default="1 pass",
        ),
    ] = 1
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.", show_default="1,000 steps")
    ] = 1000
    keep: Annotated[
        int, typer.Option(min=1, help="Checkpoints to keep, the last ones.", show_default="3 checkpoints")
    ] = 3
    eval_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps between evaluations on held-out rows.",
            show_default="a twentieth of the steps, at least 100",
        ),
    ] = None
    buffer_bytes: Annotated[
        int, typer.Option(min=1, help="Memory of the shuffle buffer, in bytes.", show_default="256 MiB")
    ] = 256 << 20
    device: Annotated[str, typer.Option(help="Where training runs: auto, cpu, cuda or cuda:N.")] = "auto"
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Write metrics for tensorboard or wandb, too; both with a comma, or by repeating the option. `none` "
            "stops that for a resumed run. Project and name for wandb come from WANDB_PROJECT and WANDB_NAME.",
            show_default="only metrics.jsonl",
            rich_help_panel="Logging",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What is shown."""

    PANEL: ClassVar = "Output"

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a report is shown."""

    PANEL: ClassVar = "Output"

    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False


@dataclass(frozen=True, slots=True, repr=False)
class OnlineRecipeOptions:
    """Fields of the recipe, if rows are computed from one."""

    PANEL: ClassVar = "Recipe"

    sequences: Annotated[
        list[str] | None,
        typer.Option(
            help="FASTA or Parquet in place of the recipe's sequences; may be repeated.", show_default="of the recipe"
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any recipe field, in TOML: `--set rows.fraction=0.1`, or with `train.` any setting of training: "
            "`--set train.lr=1e-3`; may be repeated.",
            show_default="of the recipe",
        ),
    ] = None

    def by_field(self) -> dict[str, Any]:
        """Return the options by dotted field of the recipe; those of training are left out."""
        return parse_recipe_fields({"corpus.sequences": self.sequences}, self.of_recipe)

    @property
    def of_training(self) -> list[str]:
        """The settings of training."""
        return split_settings(self.settings)[0]

    @property
    def of_recipe(self) -> list[str]:
        """The settings of the recipe."""
        return split_settings(self.settings)[1]
