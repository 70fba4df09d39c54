"""Folders of `.pt` shards with names of their own: those of InterPLM and of activault."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.errors import SourceError
from actstore.intake.files import files_below, name_in, read_json, shown
from actstore.intake.parts import Boundaries, Opened, Opening, Part
from actstore.intake.pt import TorchFiles, part_of_file, tensors_of
from actstore.intake.tensors import part_of_tensors, site_name

__all__ = ["SAVED", "SHARDS", "open_activault", "open_interplm"]

SHARDS: Final = ("activations.pt", "embeddings.pt")
"""InterPLM: shuffled rows for training, and those of proteins with their boundaries."""
SAVED: Final = ".saved.pt"
"""activault: files of a hook."""
_METADATA: Final = "metadata.json"
_FLAT_METADATA: Final = "metadata.yaml"
"""Of newer InterPLM: a line `key: value` for each field."""
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MOST_FLAT_BYTES: Final = 1 << 16


def open_interplm(place: Path, opening: Opening) -> Opened:
    """Open the folder of one layer of InterPLM: `shard_0/activations.pt` or `shard_0/embeddings.pt`, and so on.

    Raises
    ------
    SourceError
        If there are several layers or no shards, or a shard has another number of rows than its metadata say.
    """
    files = [path for path in files_below(place, *SHARDS) if path.name in SHARDS]
    layers = sorted({path.parents[1].relative_to(place).as_posix() for path in files if path.parents[1] != place})
    if layers:
        raise SourceError(
            f"{shown(place)}: holds layers {printable(', '.join(layers), most=200)}; name the folder of one: "
            f"{shown(place / layers[0])}"
        )
    opened, loaded, site = Opened([], list(files)), TorchFiles(), site_name(place.absolute().name)
    for path in files:
        name, content = name_in(place, path), loaded.load(path)
        if isinstance(content, Mapping):
            part = _with_boundaries(loaded, path, name, content)
        else:
            part, _ = part_of_file(loaded, path, name, opening.keys)
            opened.shuffled = True
            opened.say("InterPLM shuffles the rows of such shards unless told not to: whose they are is unknown")
        opened.parts.append(Part(name, dict.fromkeys([site], next(iter(part.arrays.values()))), part.boundaries))
        for described in (path.with_name(_METADATA), path.with_name(_FLAT_METADATA)):
            if described.is_file():
                opened.files.append(described)
                _compare(
                    read_json(described) if described.suffix == ".json" else _flat(described), part, described, opened
                )
    return opened


def open_activault(place: Path, _opening: Opening) -> Opened:
    """Open the folder of one hook of activault: `*.saved.pt` files with `states` and `input_ids`, and `metadata.json`.

    Raises
    ------
    SourceError
        If there are several hooks or no files, or a file has other features than `metadata.json` says.
    """
    files = files_below(place, SAVED)
    hooks = sorted({path.parent.relative_to(place).as_posix() for path in files if path.parent != place})
    if hooks:
        raise SourceError(
            f"{shown(place)}: holds hooks {printable(', '.join(hooks), most=200)}; name the folder of one: "
            f"{shown(place / hooks[0])}"
        )
    described = place / _METADATA
    metadata = read_json(described)
    opened, loaded, site = Opened([], [*files, described]), TorchFiles(), site_name(place.absolute().name)
    for path in files:
        name, content = name_in(place, path), loaded.load(path)
        tensors = tensors_of(loaded, path, content) if isinstance(content, Mapping) else {}
        kept = {site if key == "states" else key: tensor for key, tensor in tensors.items()}
        part, _ = part_of_tensors(name, kept, keys="sites")
        if part.widths.get(site) != metadata.get("d_in"):
            said = printable(str(metadata.get("d_in")), most=40)
            raise SourceError(f"{shown(path)}: has {part.widths} features, and {_METADATA} says {said}")
        opened.parts.append(part)
    return opened


def _with_boundaries(files: TorchFiles, path: Path, name: str, content: Mapping[str, Any]) -> Part:
    """Return the rows of proteins whose boundaries are in the file."""
    tensors = tensors_of(files, path, {key: content[key] for key in ("embeddings",) if key in content})
    part, _ = part_of_tensors(name, tensors, keys="sites")
    try:
        bound_S2 = np.array(content["boundaries"], dtype=np.int64).reshape(-1, 2)
        ids = content.get("protein_ids")
        names = None if ids is None or not all(isinstance(one, str) for one in ids) else list(ids)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{shown(path)}: has no boundaries of proteins, as InterPLM writes them") from error
    length_S = bound_S2[:, 1] - bound_S2[:, 0]
    if (bound_S2[:, 0] < 0).any() or (length_S < 0).any() or (bound_S2[:, 1] > part.rows).any():
        raise SourceError(f"{shown(path)}: a protein lies outside of its {part.rows:,} rows")
    if names is not None and len(names) != len(length_S):
        raise SourceError(f"{shown(path)}: {len(names):,} ids for {len(length_S):,} proteins")
    return Part(name, part.arrays, Boundaries(bound_S2[:, 0], length_S, names))


def _flat(path: Path) -> dict[str, Any]:
    """Return the fields of a document with one `key: value` a line; whole numbers are numbers."""
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_FLAT_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{shown(path)}: cannot be read: {printable(str(error))}") from error
    pairs = (line.partition(": ") for line in text.splitlines())
    return {key: int(value) if _NUMBER.fullmatch(value) else value.strip("'\"") for key, _, value in pairs}


def _compare(metadata: Mapping[str, Any], part: Part, path: Path, opened: Opened) -> None:
    rows, model = metadata.get("total_tokens"), metadata.get("model")
    if rows is not None and rows != part.rows:
        raise SourceError(f"{shown(path)}: says {printable(str(rows), most=40)} rows, its shard has {part.rows:,}")
    if isinstance(model, str) and opened.model not in {None, model}:
        raise SourceError(
            f"{shown(path)}: is of model {printable(model)}, other shards of {printable(opened.model or '')}"
        )
    opened.model = model if isinstance(model, str) else opened.model
