"""Arrays that lie in a file as plain bytes: .npy and .safetensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.contracts.planes import Float32s
from actstore.errors import SourceError
from actstore.intake.files import shown

__all__ = ["RawArray", "npy_array", "safetensors_arrays"]

_MOST_HEADER_BYTES: Final = 100_000_000
"""As the safetensors library has it."""
_SAFETENSORS: Final[Mapping[str, str]] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bfloat16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


@dataclass(frozen=True, slots=True)
class RawArray:
    """An array in C order at a place in a file; as a `RowArray`, its last axis is the features."""

    path: Path
    offset: int
    dtype: str
    """Of NumPy, or `bfloat16`."""
    full_shape: tuple[int, ...]

    @property
    def is_float(self) -> bool:
        """Whether it can be activations."""
        return self.dtype == "bfloat16" or np.dtype(self.dtype).kind == "f"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return math.prod(self.full_shape[:-1]), self.full_shape[-1]

    def read(self, start: int, stop: int) -> Float32s:
        """Return some rows, as `RowArray.read`."""
        width = self.shape[1]
        values = self._read(start * width, stop * width)
        if self.dtype == "bfloat16":  # the upper half of a float32
            return (values.astype(np.uint32) << 16).view(np.float32).reshape(-1, width)
        return values.astype(np.float32).reshape(-1, width)

    def read_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return some whole numbers, counted over all axes."""
        return self._read(start, stop).astype(np.int64)

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        dtype = np.dtype("<u2" if self.dtype == "bfloat16" else self.dtype)
        with open_regular(self.path, buffering=0) as file:
            file.seek(self.offset + start * dtype.itemsize)
            data = bytearray((stop - start) * dtype.itemsize)
            view = memoryview(data)
            while view and (count := file.readinto(view)):  # type: ignore[attr-defined]
                view = view[count:]
        if view:
            raise SourceError(f"{shown(self.path)}: ends before its last row; it has changed since it was looked at")
        return np.frombuffer(data, dtype=dtype)


def npy_array(path: Path) -> RawArray:
    """Return the array of a `.npy` file; nothing is unpickled.

    Raises
    ------
    SourceError
        If it is no such file, is cut off, holds objects, or is in Fortran order.
    """
    try:
        with open_regular(path) as file:
            version = npy_format.read_magic(file)
            header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, fortran, dtype = header(file)
            offset, size = file.tell(), path.stat().st_size
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{shown(path)}: not a .npy file: {printable(str(error))}") from error
    if dtype.hasobject or dtype.kind not in "fiub":
        raise SourceError(f"{shown(path)}: holds {printable(str(dtype))}, not numbers")
    if fortran and sum(extent > 1 for extent in shape) > 1:
        raise SourceError(
            f"{shown(path)}: in Fortran order, so that rows do not lie together; save it again with "
            "np.save(path, np.ascontiguousarray(array))"
        )
    return _checked(RawArray(path, offset, dtype.str, shape), size)


def safetensors_arrays(path: Path) -> dict[str, RawArray]:
    """Return the arrays of a `.safetensors` file, by name.

    Raises
    ------
    SourceError
        If it is no such file, is cut off, or its header lies.
    """
    try:
        with open_regular(path) as file:
            length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
            header = json.loads(file.read(length)) if 2 <= length <= min(size - 8, _MOST_HEADER_BYTES) else None
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{shown(path)}: not a .safetensors file: {printable(str(error))}") from error
    if not isinstance(header, dict):
        raise SourceError(f"{shown(path)}: not a .safetensors file: {length:,} bytes of header are no JSON object")
    header.pop("__metadata__", None)
    arrays: dict[str, RawArray] = {}
    for name, entry in header.items():
        match entry:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if (
                dtype in _SAFETENSORS and all(type(extent) is int and extent >= 0 for extent in shape) and begin >= 0
            ):
                array = RawArray(path, 8 + length + begin, _SAFETENSORS[dtype], tuple(shape))
                if _bytes(array) != end - begin:
                    raise SourceError(f"{shown(path)}: {printable(name, most=80)} has other bytes than its shape needs")
                arrays[name] = _checked(array, size)
            case _:
                raise SourceError(f"{shown(path)}: {printable(name, most=80)} is of a kind that cannot be imported")
    return arrays


def _bytes(array: RawArray) -> int:
    item = 2 if array.dtype == "bfloat16" else np.dtype(array.dtype).itemsize
    return math.prod(array.full_shape) * item


def _checked(array: RawArray, size: int) -> RawArray:
    needed = array.offset + _bytes(array)
    if needed > size:
        raise SourceError(
            f"{shown(array.path)}: cut off: {size:,} bytes, and an array of {array.full_shape} ends at {needed:,}"
        )
    return array
