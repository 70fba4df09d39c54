"""`.pt` files: tensors of torch, mapped into memory. Nothing that could run is unpickled."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.contracts.planes import Float32s
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import SourceError
from actstore.intake.files import files_of_one_folder, name_in, shown
from actstore.intake.parts import Boundaries, Keys, Opened, Opening, Part
from actstore.intake.tensors import part_of_tensors

__all__ = ["TorchFiles", "TorchTensor", "open_pt", "part_of_file", "read_torch_tensors", "tensors_of"]

_MAPPED_FILES: Final = 64
"""Files that are kept mapped; they take address space, and memory only for what was read last."""
_IDS: Final = ("ids", "labels", "protein_ids")


def open_pt(place: Path, opening: Opening) -> Opened:
    """Open a folder of `.pt` files: tensors, or dictionaries of them, also those that `esm-extract` writes."""
    files = files_of_one_folder(place, ".pt", ".pth")
    opened, loaded = Opened([], files), TorchFiles()
    for path in files:
        part, said = part_of_file(loaded, path, name_in(place, path), opening.keys)
        opened.parts.append(part)
        opened.say(said)
    return opened


def part_of_file(files: TorchFiles, path: Path, name: str, keys: Keys) -> tuple[Part, str]:
    """Return the part of one `.pt` file, and how it was taken; raises as `TorchFiles.load` and `part_of_tensors`."""
    content = files.load(path)
    if not isinstance(content, Mapping):
        return part_of_tensors(name, tensors_of(files, path, {"": content}), keys=keys)
    if isinstance(content.get("representations"), Mapping) and isinstance(content.get("label"), str):
        layers = tensors_of(files, path, content["representations"], below="representations")
        part, _ = part_of_tensors(name, layers, keys="sites")
        length = np.array([part.rows], dtype=np.int64)
        return Part(name, part.arrays, Boundaries.of_lengths(length, [content["label"]])), ""
    ids = next((content[key] for key in _IDS if _is_texts(content.get(key))), None)
    return part_of_tensors(name, tensors_of(files, path, content), keys=keys, ids=ids)


class TorchFiles:
    """Contents of `.pt` files, of which some are kept; safe in several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Any] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, path: Path) -> Any:  # noqa: ANN401 - what the file holds
        """Return the content of a file, whose tensors are mapped into memory.

        Raises
        ------
        SourceError
            If it is no such file, holds anything but tensors and plain values, or is of the format before torch 1.6.
        """
        with self._lock:
            if path not in self._kept:
                self._kept[path] = _load(path)
                if len(self._kept) > _MAPPED_FILES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(path)
            return self._kept[path]


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """A tensor in a file; a `tensors.Tensor`."""

    files: TorchFiles
    path: Path
    keys: tuple[Any, ...]
    """Where it is in the dictionaries of the file."""
    full_shape: tuple[int, ...]
    is_float: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return math.prod(self.full_shape[:-1]), self.full_shape[-1]

    def read(self, start: int, stop: int) -> Float32s:
        """Return some rows, as `RowArray.read`."""
        import torch  # noqa: PLC0415 - only for this format

        values: Float32s = self._tensor().reshape(-1, self.full_shape[-1])[start:stop].to(torch.float32).numpy()
        return values.copy()  # it may be a view of the mapped file

    def read_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return some whole numbers, counted over all axes."""
        numbers: NDArray[np.int64] = self._tensor().reshape(-1)[start:stop].numpy().astype(np.int64)
        return numbers

    def _tensor(self) -> Any:  # noqa: ANN401 - a tensor
        found = self.files.load(self.path)
        for key in self.keys:
            found = found[key]
        if tuple(found.shape) != self.full_shape:
            raise SourceError(f"{shown(self.path)}: has changed since it was looked at")
        return found


def tensors_of(
    files: TorchFiles, path: Path, content: Mapping[Any, Any], below: str | None = None
) -> dict[str, TorchTensor]:
    """Return the tensors in a dictionary of a file; "" stands for the content of the file itself.

    Raises
    ------
    SourceError
        If a tensor claims more numbers than the file has, or its rows do not lie together.
    """
    import torch  # noqa: PLC0415 - only for this format

    tensors: dict[str, TorchTensor] = {}
    for key, tensor in content.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if tensor.layout is not torch.strided or not tensor.is_contiguous():
            raise SourceError(f"{shown(path)}: {printable(str(key), most=80)} is not contiguous; save a copy of it")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise SourceError(f"{shown(path)}: {printable(str(key), most=80)} claims more numbers than there are")
        keys = (() if key == "" else (key,)) if below is None else (below, key)
        text = str(key) if below is None else f"{below}.{key}"
        tensors[text] = TorchTensor(files, path, keys, tuple(tensor.shape), tensor.is_floating_point())
    return tensors


@with_keyword_hints
def read_torch_tensors(path: Path) -> dict[str, Any]:
    """Return copies of the tensors in a `.pt` file that is a dictionary of them, such as a state dict, by name.

    Plain values beside them are left out. Nothing that could run is unpickled.

    Raises
    ------
    SourceError
        If it is no such file, holds anything but tensors and plain values, or a tensor claims more numbers than there
        are.
    """
    import torch  # noqa: PLC0415 - only for this format

    content = _load(path)
    if not isinstance(content, Mapping):
        raise SourceError(f"{shown(path)}: holds no dictionary of tensors, such as model.state_dict()")
    tensors: dict[str, Any] = {}
    for key, tensor in content.items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
            continue
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise SourceError(f"{shown(path)}: {printable(key, most=80)} is no plain tensor; save it dense, on a CPU")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise SourceError(f"{shown(path)}: {printable(key, most=80)} claims more numbers than there are")
        tensors[key] = tensor.detach().clone(memory_format=torch.contiguous_format)
    return tensors


def _load(path: Path) -> Any:  # noqa: ANN401 - what the file holds
    import torch  # noqa: PLC0415 - only for this format

    try:
        with open_regular(path):  # not a pipe, for which torch would wait
            pass
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise SourceError(
            f"{shown(path)}: holds more than tensors and plain values, and unpickling that runs code which the author "
            "of the file chose, so it is not done; save the tensors alone: torch.save(tensor, path)"
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
        said = printable(str(error).partition("\n")[0])
        raise SourceError(f"{shown(path)}: torch cannot read it: {said}; save it again with torch.save") from error


def _is_texts(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value)
