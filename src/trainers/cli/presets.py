"""`trainer presets`: settings of published dictionaries."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from actstore import with_grouped_options
from trainers.cli import options

__all__ = ["presets"]


@with_grouped_options
def presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this preset, with its source.")] = None,
    *,
    output: options.ReportOptions,
) -> None:
    """List the presets for --preset, or print one of them.

    A preset is TOML, as --config reads it. To begin with one and change it:

        trainer presets esm2-3b-topk > mine.toml
        trainer read-from-store STORE --config mine.toml
    """
    from trainers.workflows.presets import find_preset, list_presets

    if name is not None:
        preset = find_preset(name)
        typer.echo(json.dumps(preset.document(), indent=2) if output.as_json else preset.text.rstrip())
    elif output.as_json:
        typer.echo(json.dumps({"presets": [preset.document() for preset in list_presets()]}, indent=2))
    else:
        from trainers.cli.table import print_table

        print_table({preset.name: preset.about for preset in list_presets()})
