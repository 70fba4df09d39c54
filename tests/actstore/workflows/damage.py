"""Damage of every kind to plant into a store, wherever it lies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
from fsspec.implementations.memory import MemoryFileSystem
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.contracts.planes import Float32s
from actstore.testing.fake_model import FakeModel

__all__ = ["KINDS", "PARTNERS", "SPOILS", "OtherProcessor", "copy_objects", "in_memory", "objects_in"]

KINDS: dict[str, int | None] = {
    "zarr.json": None,
    "sites/zarr.json": None,
    "sites/embed/values/zarr.json": None,
    "sites/embed/center/c/0": None,
    "sites/embed/channel/c/0": None,
    "recipe.json": None,
    "sequences.parquet": None,
    "manifest.json": None,
    "rows/sequence/c/2": 2,
    "rows/position/c/2": 2,
    "rows/token/c/2": 2,
    "scales/row/c/2/0": 2,
    "sites/resid_post.1/values/c/2/0": 2,
    "statistics/count/c/2/0": 2,
    "statistics/noise/c/2/0/0": 2,
    "commits/2.json": 2,
}
"""One object of each kind in an int8 store, and its task."""

PARTNERS: dict[str, str] = {
    "zarr.json": "sites/zarr.json",
    "sites/embed/values/zarr.json": "rows/token/zarr.json",
    "sites/embed/center/c/0": "sites/embed/channel/c/0",
    "recipe.json": "manifest.json",
    "rows/sequence/c/2": "rows/sequence/c/1",
    "rows/token/c/2": "rows/token/c/3",
    "scales/row/c/2/0": "scales/row/c/1/0",
    "sites/resid_post.1/values/c/2/0": "sites/embed/values/c/2/0",
    "statistics/noise/c/2/0/0": "statistics/m2/c/2/0/0",
    "commits/2.json": "commits/1.json",
}
"""What an object may be taken for: most pairs are of one size."""


def _flip(data: bytes, place: int) -> bytes:
    spoiled = bytearray(data)
    spoiled[place] ^= 0x10
    return bytes(spoiled)


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda data: b"",
    "a byte short": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "a byte long": lambda data: data + b"\n",
    "first byte flipped": lambda data: _flip(data, 0),
    "middle byte flipped": lambda data: _flip(data, len(data) // 2),
    "last byte flipped": lambda data: _flip(data, -1),
    "zeros": lambda data: bytes(len(data)),
}


class OtherProcessor(FakeModel):
    """The same model on hardware that rounds otherwise: its facts are the same, its numbers nearly so."""

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        rows = super().activations(residues, kept)
        return {site: values_ND * np.float32(1.001) for site, values_ND in rows.items()}


@contextmanager
def in_memory() -> Iterator[ObjectStore]:
    """Give an empty store at a URL of its own, and forget it afterwards: a listing takes the time of all there is."""
    name = uuid4().hex
    yield open_objects(f"memory://{name}/store")
    for path in [path for path in MemoryFileSystem.store if path.startswith(f"/{name}/")]:
        del MemoryFileSystem.store[path]
    MemoryFileSystem.pseudo_dirs[:] = [path for path in MemoryFileSystem.pseudo_dirs if not path.startswith(f"/{name}")]


def copy_objects(folder: Path, objects: ObjectStore) -> dict[str, bytes]:
    """Put every file of a folder into a store; return what is there then."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return objects_in(objects)


def objects_in(objects: ObjectStore) -> dict[str, bytes]:
    """Return every object by its path."""
    return {path: objects.get(path) for path in objects.sizes()}
