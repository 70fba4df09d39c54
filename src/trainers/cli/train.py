"""Shared by both commands: train or stream as the options say, and print the result."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from trainers.cli import options
from trainers.cli.table import print_table
from trainers.workflows.options import LiveMode, RunOptions

__all__ = ["train"]


def train(
    uri: str,
    training: options.TrainingOptions,
    place: options.PlaceOptions,
    storage: options.AccessOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    *,
    live: LiveMode | None,
    allow_incomplete: bool,
    recipe_options: Mapping[str, Any] | None = None,
) -> None:
    """Train, or only stream, as the options say, and print the result."""
    # Imported here: `trainer --help` must not wait for torch.
    from actstore import parse_storage_options, terminal_progress
    from trainers.fit.config import make_config
    from trainers.workflows.read_from_store import read_from_store
    from trainers.workflows.stream_only import stream_only

    circumstances = RunOptions(
        **asdict(place),
        **asdict(model),
        cache=storage.cache,
        cache_bytes=storage.cache_bytes,
        storage_options=parse_storage_options(storage.storage_option),
        live=live,
        allow_incomplete=allow_incomplete,
        recipe_options=recipe_options,
    )
    work = stream_only if training.dictionary is options.DictionaryChoice.NONE else read_from_store
    config = make_config(_fields_of_config(training))
    document = work(uri, config, circumstances, progress=terminal_progress(quiet=output.quiet)).document()
    if output.as_json:
        sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
    else:
        print_table(document)


def _fields_of_config(training: options.TrainingOptions) -> dict[str, Any]:
    fields = {name: value.value if isinstance(value, StrEnum) else value for name, value in asdict(training).items()}
    sites = fields.pop("site")
    if training.dictionary is options.DictionaryChoice.NONE:
        del fields["dictionary"]
    return fields | {"sites": tuple(sites) if sites else None}
