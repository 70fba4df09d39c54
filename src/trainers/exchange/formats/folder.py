"""A folder that another program wrote: its files, read within limits, with their digests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actstore import errors, read_torch_tensors
from trainers.save.files import file_sha256
from trainers.save.tensors import load_tensors, shown

__all__ = ["MOST_WEIGHTS_BYTES", "ForeignFolder", "named"]

MOST_WEIGHTS_BYTES: Final = 1 << 37
"""Largest file of weights; 128 GiB are 32 times the largest public dictionary that we know."""
_MOST_DOCUMENT_BYTES: Final = 1 << 22
_MOST_DEPTH: Final = 40
_MOST_NAME: Final = 400
_FLOATS: Final = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class ForeignFolder:
    """Files of a folder, or one file of it that the user chose.

    Parameters
    ----------
    path
        The folder, or the file.

    Raises
    ------
    CheckpointError
        If there is neither.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise errors.CheckpointError(f"{path}: no such folder")
        self.path = path.parent if path.is_file() else path
        self.chosen = path.name if path.is_file() else None
        """Name of the file that was chosen; None for a folder."""
        self.digests: dict[str, str] = {}
        """SHA-256 of each file that was read."""

    def has(self, *names: str) -> bool:
        """Return whether all of these are regular files."""
        return all((self.path / name).is_file() for name in names)

    def names(self, suffix: str) -> list[str]:
        """Return the names of its files that end so, in order."""
        return sorted(one.name for one in self.path.iterdir() if one.name.endswith(suffix) and one.is_file())

    def text(self, name: str) -> str:
        """Return a document of text.

        Raises
        ------
        CheckpointError
            If it cannot be read, or is too large for a document.
        """
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_DOCUMENT_BYTES + 1)
        except OSError as error:
            raise errors.CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
        if len(data) > _MOST_DOCUMENT_BYTES:
            raise errors.CheckpointError(f"{path}: more than {_MOST_DOCUMENT_BYTES:,} bytes; this is no configuration")
        self.digests[name] = file_sha256(path)
        return data.decode("utf-8", errors="replace")

    def json(self, name: str) -> dict[str, Any]:
        """Return a JSON object; numbers that JSON does not know (NaN) as texts.

        Raises
        ------
        CheckpointError
            If it cannot be read, or is no such object.
        """
        text = self.text(name)
        try:
            document = _clean(json.loads(text, parse_constant=str), _MOST_DEPTH)
        except (ValueError, RecursionError) as error:
            cause = "nested too deeply" if isinstance(error, RecursionError) else shown(str(error))
            raise errors.CheckpointError(f"{self.path / name}: not JSON: {cause}") from error
        if not isinstance(document, dict):
            raise errors.CheckpointError(f"{self.path / name}: no JSON object")
        return document

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a `.safetensors` or `.pt` file; numbers as float32, checked to be finite.

        Raises
        ------
        CheckpointError
            If it cannot be read, or holds NaN, Inf, or other kinds of numbers.
        SourceError
            If it is a `.pt` file that holds more than tensors and plain values; it is not unpickled.
        """
        path = self.path / name
        if not path.is_file():
            raise errors.CheckpointError(f"{path}: missing")
        if (size := path.stat().st_size) > MOST_WEIGHTS_BYTES:
            raise errors.CheckpointError(f"{path}: {size:,} bytes; weights have at most {MOST_WEIGHTS_BYTES:,}")
        found = load_tensors(path) if path.suffix == ".safetensors" else read_torch_tensors(path)
        self.digests[name] = file_sha256(path)
        return {key: self._number(path, key, tensor) for key, tensor in found.items()}

    def _number(self, path: Path, key: str, tensor: Tensor) -> Tensor:
        if tensor.dtype in _FLOATS:
            if not bool(torch.isfinite(tensor).all()) or not bool(torch.isfinite(tensor.float()).all()):
                raise errors.CheckpointError(f"{path}: {shown(key)} holds NaN or Inf; these are no usable weights")
            return tensor.float()
        if tensor.dtype.is_complex or tensor.numel() > MOST_WEIGHTS_BYTES:
            raise errors.CheckpointError(f"{path}: {shown(key)} is {tensor.dtype}; weights are real numbers")
        return tensor

    def __str__(self) -> str:
        return str(self.path if self.chosen is None else self.path / self.chosen)


def named(value: object) -> str | None:
    """Return a name that a document says, if it is one: text that can be printed, and not too long."""
    if isinstance(value, str) and 0 < len(value) <= _MOST_NAME and value.isprintable():
        return value
    return None


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON whose texts can be written again; raise `RecursionError` if it is nested too deeply."""
    if depth == 0:
        raise RecursionError
    match value:
        case str():
            return value.encode("utf-8", errors="replace").decode()
        case list():
            return [_clean(one, depth - 1) for one in value]
        case dict():
            return {_clean(key, depth - 1): _clean(one, depth - 1) for key, one in value.items()}
    return value
