"""Presets: settings of published dictionaries by name, `presets/*.toml`, shipped with the package.

Each file begins with comments: in the first line what it is, then its source and what differs from that.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final, NamedTuple

from actstore import did_you_mean, errors

__all__ = ["Preset", "find_preset", "list_presets"]

_ENDING: Final = ".toml"


class Preset(NamedTuple):
    """Settings by name."""

    name: str
    text: str
    """The file, with its comments."""

    @property
    def about(self) -> str:
        """What it is: the first line of the file."""
        return self.text.partition("\n")[0].lstrip("# ")

    @property
    def settings(self) -> dict[str, Any]:
        """Fields of `TrainConfig`."""
        return tomllib.loads(self.text)

    def document(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"name": self.name, "about": self.about, "settings": self.settings}


def list_presets() -> list[Preset]:
    """Return all presets, in the order of their names."""
    folder = files("trainers") / "presets"
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(_ENDING)), key=lambda path: path.name)
    return [Preset(path.name.removesuffix(_ENDING), path.read_text(encoding="utf-8")) for path in paths]


def find_preset(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    UsageError
        If there is none of that name; the message has the nearest names.
    """
    presets = {preset.name: preset for preset in list_presets()}
    if name not in presets:
        hint = did_you_mean(name, presets) or f"; there are {', '.join(presets)}"
        raise errors.UsageError(f"--preset {name[:100]!a}: there is no such preset{hint}")
    return presets[name]
