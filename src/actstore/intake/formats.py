"""The formats that can be imported, and how a folder is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from actstore.access.printable import printable
from actstore.contracts.suggest import did_you_mean
from actstore.errors import SourceError, UsageError
from actstore.intake.arrow import DATASET_DICT, STATE, open_arrow
from actstore.intake.files import files_below, read_json, shown
from actstore.intake.h5 import open_h5
from actstore.intake.npy import open_npy, open_safetensors
from actstore.intake.parquet import METADATA, open_bionemo
from actstore.intake.parts import Opened, Opening
from actstore.intake.pt import open_pt
from actstore.intake.shard_folders import SAVED, SHARDS, open_activault, open_interplm

__all__ = ["FORMATS", "guess_format", "open_source"]

FORMATS: Final[Mapping[str, Callable[[Path, Opening], Opened]]] = MappingProxyType(
    {
        "pt": open_pt,
        "safetensors": open_safetensors,
        "npy": open_npy,
        "hf": open_arrow,
        "saelens": open_arrow,
        "activault": open_activault,
        "interplm": open_interplm,
        "bionemo": open_bionemo,
        "h5": open_h5,
    }
)
"""How each is opened."""
_BY_SUFFIX: Final[Mapping[str, str]] = MappingProxyType(
    {".pt": "pt", ".pth": "pt", ".safetensors": "safetensors", ".npy": "npy", ".h5": "h5", ".hdf5": "h5"}
)
_SAELENS: Final = "hook_"
"""Part of the names of hooks, which SAELens gives to columns."""


def open_source(place: Path, source_format: str, opening: Opening) -> Opened:
    """Open a source of one format.

    Raises
    ------
    UsageError
        If there is no such format, or it needs a package that is not installed.
    SourceError
        If the files cannot be used.
    """
    if source_format not in FORMATS:
        hint = did_you_mean(source_format, FORMATS) or f"; there are {', '.join(FORMATS)}"
        raise UsageError(f"--format = {source_format!r}: no such format{hint}")
    opened = FORMATS[source_format](place, opening)
    if not opened.parts:
        raise SourceError(f"{shown(place)}: no {source_format} activations here")
    return opened


def guess_format(place: Path) -> str:
    """Return the format that a folder or file seems to have.

    Raises
    ------
    SourceError
        If it is none of them, or may be several.
    """
    if (place / STATE).is_file():
        return "saelens" if _has_hooks(place) else "hf"
    if (place / DATASET_DICT).is_file():
        return "hf"
    files = files_below(place, *_BY_SUFFIX, ".parquet")
    if (place / METADATA).is_file() and any(path.suffix == ".parquet" for path in files):
        return "bionemo"
    if any(path.name.endswith(SAVED) for path in files):
        return "activault"
    if any(path.name in SHARDS for path in files):
        return "interplm"
    found = {_BY_SUFFIX[path.suffix] for path in files if path.suffix in _BY_SUFFIX}
    if len(found) == 1:
        return found.pop()
    seen = f"files of {', '.join(sorted(found))}" if found else "no file of a known format"
    raise SourceError(f"{shown(place)}: {seen}; say the format: --format {'|'.join(FORMATS)}")


def _has_hooks(place: Path) -> bool:
    info = place / "dataset_info.json"
    features: Any = read_json(info).get("features") if info.is_file() else None
    return isinstance(features, dict) and any(_SAELENS in printable(name) for name in features)
