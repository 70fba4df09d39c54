"""Tensors from files, checked before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from actstore import errors
from trainers.save.files import file_sha256

__all__ = ["check_tensors", "load_tensors", "on_cpu", "read_tensors", "shown", "tensor_names"]

_MOST_SHOWN: Final = 400


def read_tensors(path: Path, sha256: str | None, *, said_by: str) -> dict[str, Tensor]:
    """Read a file of safetensors that has a known digest.

    Parameters
    ----------
    sha256, said_by
        The digest, and the file that says it; None if it says none.

    Raises
    ------
    CheckpointError
        If it is missing, changed or malformed.
    """
    if sha256 is None or not path.is_file():
        raise errors.CheckpointError(f"{path}: missing; {path.parent} is incomplete")
    found = file_sha256(path)
    if found != sha256:
        raise errors.CheckpointError(
            f"{path}: sha256 {found[:12]}..., {said_by} says {sha256[:12]}...; the file was truncated or changed, "
            "restore it from a copy or train again"
        )
    return load_tensors(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of safetensors.

    Raises
    ------
    CheckpointError
        If it is no such file, or malformed.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise errors.CheckpointError(f"{path}: not a safetensors file: {shown(str(error))}") from error


def check_tensors(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` unless the tensors of a file have the wanted names, shapes and dtypes."""
    if found.keys() != wanted.keys():
        names = tensor_names(found)
        raise errors.CheckpointError(f"{path}: holds {names}; expected {', '.join(sorted(wanted))}")
    for name, tensor in wanted.items():
        have = found[name]
        if have.shape != tensor.shape or have.dtype != tensor.dtype:
            raise errors.CheckpointError(
                f"{path}: {name} is {have.dtype} {list(have.shape)}; expected {tensor.dtype} {list(tensor.shape)}"
            )


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that a file can hold."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def shown(text: str) -> str:
    """Return text from a file without characters that control a terminal."""
    return ascii(text[:_MOST_SHOWN])[1:-1]


def tensor_names(tensors: Mapping[str, Tensor]) -> str:
    """Return the names in a file of tensors, for a message."""
    return shown(", ".join(sorted(tensors))) or "no tensors"
