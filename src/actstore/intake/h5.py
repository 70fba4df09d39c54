"""HDF5 files with a data set [L, D] for each protein, as bio_embeddings, ProtT5 and UniProt publish them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.contracts.planes import Float32s
from actstore.errors import SourceError, UsageError
from actstore.intake.files import files_of_one_folder, name_in, shown
from actstore.intake.parts import Opened, Opening
from actstore.intake.tensors import concatenated, part_of_tensors

__all__ = ["H5Array", "open_h5"]

_ORIGINAL_ID: Final = "original_id"
"""Attribute of a data set that has the id, where the key is a hash of the sequence."""


def open_h5(place: Path, opening: Opening) -> Opened:
    """Open HDF5 files; links out of a file and data that are kept elsewhere are refused.

    Raises
    ------
    UsageError
        If h5py is not installed.
    """
    try:
        import h5py  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise UsageError("h5py is not installed: pip install 'actstore[import]'") from error
    files = files_of_one_folder(place, ".h5", ".hdf5")
    opened = Opened([], files)
    for path in files:
        name, arrays = name_in(place, path), {}
        with _readable(path):
            with open_regular(path):  # not a pipe
                pass
            file = h5py.File(path, "r")
            for key in file:
                if not isinstance(file.get(key, getlink=True), h5py.HardLink):
                    raise SourceError(f"{shown(path)}: {printable(key, most=80)} is a link to another place")
                given, array = _array(path, file, key, file[key])
                if given in arrays:
                    raise SourceError(f"{shown(path)}: two data sets have the id {printable(given, most=80)!r}")
                arrays[given] = array
        if not arrays:
            raise SourceError(f"{shown(path)}: has no data sets")
        if opening.keys == "sites":
            opened.parts.append(part_of_tensors(name, arrays, keys="sites")[0])
        else:
            opened.parts.append(concatenated(name, arrays))
    return opened


@dataclass(frozen=True, slots=True)
class H5Array:
    """A data set; a `tensors.Tensor`."""

    path: Path
    file: Any
    key: str
    full_shape: tuple[int, ...]
    is_float: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return math.prod(self.full_shape[:-1]), self.full_shape[-1]

    def read(self, start: int, stop: int) -> Float32s:
        """Return some rows, as `RowArray.read`."""
        with _readable(self.path):
            values: Float32s = np.asarray(self.file[self.key][start:stop], dtype=np.float32)
        return values

    def read_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return some whole numbers, counted over all axes."""
        with _readable(self.path):
            return np.asarray(self.file[self.key][()], dtype=np.int64).reshape(-1)[start:stop]


def _array(path: Path, file: Any, key: str, found: Any) -> tuple[str, H5Array]:  # noqa: ANN401 - of h5py
    """Return id and array of a data set."""
    shape = getattr(found, "shape", None)
    where = f"{shown(path)}: {printable(key, most=80)}"
    if shape is None:
        raise SourceError(f"{where} is a group; wanted data sets [L, D] at the top of the file, one for each protein")
    if len(shape) == 1:
        raise SourceError(f"{where} has one vector for a whole protein; wanted [L, D], a row for each residue")
    if len(shape) != 2 or found.dtype.kind not in "fiu":
        raise SourceError(f"{where} has shape {shape} of {found.dtype}; wanted numbers [L, D]")
    if found.external or found.is_virtual:
        raise SourceError(f"{where} keeps its numbers in another file")
    if 0 not in shape and not _is_written(found):
        raise SourceError(f"{where} has numbers that were never written, which would be read as zeros")
    given = found.attrs.get(_ORIGINAL_ID, key)
    text = given.decode() if isinstance(given, bytes) else str(given)
    return text, H5Array(path, file, key, tuple(shape), found.dtype.kind == "f")


def _is_written(found: Any) -> bool:  # noqa: ANN401 - of h5py
    """Return whether all numbers of a data set are in its file."""
    if found.chunks is None:
        return bool(found.id.get_storage_size())
    wanted = math.prod(-(-extent // chunk) for extent, chunk in zip(found.shape, found.chunks, strict=True))
    return bool(found.id.get_num_chunks() == wanted)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise SourceError(f"{shown(path)}: cannot be read as HDF5: {printable(str(error))}") from error
