"""What to train, from a preset, a file, and the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actstore import errors
from trainers.fit.config import TrainConfig, make_config
from trainers.workflows.presets import find_preset

__all__ = ["merged_settings", "read_toml", "settle_config"]

_MOST_BYTES: Final = 1 << 20
_SHAPED_BY: Final = {"expansion": "latents"}
"""Settings, and the ones that they would be silent beside."""


def settle_config(
    *, preset: str | None = None, file: Path | None = None, settings: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Return the configuration that a preset, a file and further settings give together.

    A later one takes precedence over those before it, setting by setting. An `expansion` that is given later replaces
    `latents`, too.

    Parameters
    ----------
    preset
        Name of a preset.
    file
        TOML with fields of `TrainConfig`.
    settings
        Further fields: those of the command line.

    Raises
    ------
    UsageError
        If there is no such preset; if the file cannot be read or is not TOML; if a setting is unknown or its value is
        not allowed. The message says where it was given.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if preset is not None:
        layers.append((f"preset {preset}", find_preset(preset).settings))
    if file is not None:
        layers.append((str(file), read_toml(file, what="settings of a run")))
    layers.append(("", settings or {}))
    merged: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for name, values in layers:
        merged = merged_settings(merged, values)
        said_by |= dict.fromkeys(values, name)
    return make_config(merged, said_by=said_by)


def merged_settings(before: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which the later ones take precedence; an `expansion` there replaces `latents`, too.

    Examples
    --------
    >>> merged_settings({"latents": 512, "k": 8}, {"expansion": 4})
    {'k': 8, 'expansion': 4}
    """
    silenced = {replaced for given, replaced in _SHAPED_BY.items() if given in later and replaced not in later}
    return {name: value for name, value in before.items() if name not in silenced} | dict(later)


def read_toml(file: Path, *, what: str) -> dict[str, Any]:
    """Read a file of settings.

    Parameters
    ----------
    what
        What it should be, for the error if it is too large for that.

    Raises
    ------
    UsageError
        If it cannot be read, is no TOML, or is too large.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise errors.UsageError(f"{file}: over {_MOST_BYTES:,} bytes, too large for {what}; is this the file?")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise errors.UsageError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and numbers of too many digits
        raise errors.UsageError(f"{file}: not TOML: {ascii(str(error)[:200])[1:-1]}") from None
