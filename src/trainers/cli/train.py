"""Shared by both commands: train or stream as the options say, and print the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any

import typer

from trainers.cli import options
from trainers.cli.table import print_result

__all__ = ["fields_of_config", "train"]


def train(
    given: options.Given,
    uri: str | None,
    training: options.TrainingOptions,
    place: options.PlaceOptions,
    storage: options.AccessOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    *,
    settings: Sequence[str],
    fixed: Mapping[str, Any],
) -> None:
    """Train, or only stream, as the options say, and print the result.

    Parameters
    ----------
    given
        Names of the options that stand on the command line: a resumed run takes the others from its folder.
    settings
        Settings of training as ``KEY=VALUE``.
    fixed
        Fields of `RunOptions` that a command sets itself.
    """
    # Imported here: `trainer --help` must not wait for torch.
    from actstore import errors, parse_recipe_fields, parse_storage_options, terminal_progress
    from trainers.loggers.table import parse_loggers
    from trainers.workflows.options import RunOptions
    from trainers.workflows.ranks import Ranks
    from trainers.workflows.read_from_store import read_from_store
    from trainers.workflows.settings import settle_config
    from trainers.workflows.stopping import Stopped
    from trainers.workflows.stream_only import stream_only

    chosen = {name: value for name, value in (asdict(place) | asdict(model)).items() if name in given}
    chosen |= {name: getattr(storage, name) for name in ("cache", "cache_bytes") if name in given}
    if storage.store_uri is not None:
        chosen["uri"] = storage.store_uri
    if storage.storage_option:
        chosen["storage_options"] = parse_storage_options(storage.storage_option)
    if "log" in chosen:
        chosen["log"] = parse_loggers(chosen["log"])
    circumstances = RunOptions(**chosen, **fixed)
    fields = parse_recipe_fields(fields_of_config(training, given), settings)
    config = settle_config(preset=training.preset, file=training.config, settings=fields)
    progress = terminal_progress(quiet=output.quiet)
    try:
        if training.dictionary is options.DictionaryChoice.NONE:
            if uri is None or place.resume is not None:
                raise errors.UsageError("--dictionary none: give URI, and no --resume; there is no run to go on with")
            document = stream_only(uri, config, circumstances, progress=progress).document()
        else:
            document = read_from_store(uri, config, circumstances, progress=progress).document()
    except Stopped as stopped:
        if Ranks.of_environment().first:
            typer.echo(str(stopped), err=True)
        raise typer.Exit(stopped.exit_code) from None
    if Ranks.of_environment().first:
        print_result(document, as_json=output.as_json)


def fields_of_config(training: options.TrainingOptions, given: options.Given) -> dict[str, Any]:
    """Return the fields of `TrainConfig` that stand on the command line."""
    from actstore import comma_separated

    fields = {
        name: value.value if isinstance(value, StrEnum) else value
        for name, value in asdict(training).items()
        if name in given and name not in {"preset", "config"}
    }
    for option, field in (("site", "sites"), ("target", "targets")):
        if option in fields:
            names = comma_separated(fields.pop(option))
            fields[field] = tuple(names) if names else None
    if fields.get("groups") is not None:
        fields["groups"] = [_number(share) for share in comma_separated([fields["groups"]]) or ()]
    if training.dictionary is options.DictionaryChoice.NONE:
        fields.pop("dictionary", None)
    return fields


def _number(text: str) -> float:
    from actstore import errors

    try:
        return float(text)
    except ValueError:
        raise errors.UsageError(f"--groups: {text!r} is no share; give numbers such as 0.25,0.25,0.5") from None
