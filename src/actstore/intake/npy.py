"""`.npy` files, and `.safetensors` files."""

from __future__ import annotations

from pathlib import Path

from actstore.intake.files import files_of_one_folder, name_in
from actstore.intake.parts import Opened, Opening
from actstore.intake.raw import npy_array, safetensors_arrays
from actstore.intake.tensors import part_of_tensors

__all__ = ["open_npy", "open_safetensors"]


def open_npy(place: Path, opening: Opening) -> Opened:
    """Open a folder of `.npy` files."""
    files = files_of_one_folder(place, ".npy")
    names = [name_in(place, path) for path in files]
    return Opened(
        [
            part_of_tensors(name, {"": npy_array(path)}, keys=opening.keys)[0]
            for name, path in zip(names, files, strict=True)
        ],
        files,
    )


def open_safetensors(place: Path, opening: Opening) -> Opened:
    """Open a folder of `.safetensors` files."""
    files = files_of_one_folder(place, ".safetensors")
    opened = Opened([], files)
    for path in files:
        part, said = part_of_tensors(name_in(place, path), safetensors_arrays(path), keys=opening.keys)
        opened.parts.append(part)
        opened.say(said)
    return opened
