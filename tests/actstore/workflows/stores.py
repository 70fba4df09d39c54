"""What tests see of a store: its files, and its rows as zarr-python and the formula give them. And an odd model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.testing.fake_model import FakeModel

__all__ = ["PlainRows", "Residue", "TwoWidths", "contents", "plain_rows", "read_fasta", "write_fasta"]

Floats = NDArray[np.float32]
Residue = tuple[str, int]
"""Id of a sequence and 0-based position."""


class PlainRows(NamedTuple):
    """The rows of a store without holes, in stored order."""

    residue_N: list[Residue]
    token_N: list[int]
    values: dict[str, Floats]
    step: dict[str, Floats]
    """Distance of neighbouring int8 or int4 levels, [N, D]; empty for encodings without."""
    splits: dict[str, str]
    """Split of each sequence."""

    def by_residue(self, site: str) -> dict[Residue, Floats]:
        """Return the vector of every residue."""
        return dict(zip(self.residue_N, self.values[site], strict=True))


class TwoWidths(FakeModel):
    """Sites of 300 and of 21 features: two groups of channels, and one with half a byte to spare."""

    def __init__(self) -> None:
        super().__init__(sites=["wide", "narrow"], width=300)
        self._sites = (self._sites[0], self._sites[1]._replace(width=21))

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        rows = super().activations(residues, kept)
        return {"wide": rows["wide"], "narrow": rows["narrow"][:, :21]}


def plain_rows(store: Path) -> PlainRows:
    """Read a store without any of our own code."""
    root = zarr.open_group(store, mode="r")
    sequences = pq.read_table(store / "sequences.parquet").to_pydict()
    sequence_N = _array(root, "rows/sequence")
    filled_N = sequence_N >= 0
    position_N = _array(root, "rows/position")[filled_N].tolist()
    ids = [sequences["id"][sequence] for sequence in sequence_N[filled_N]]
    values: dict[str, Floats] = {}
    step: dict[str, Floats] = {}
    sites = [name for name, *_ in json.loads((store / "recipe.json").read_bytes())["sites"]]
    for column, site in enumerate(sites):
        stored = _array(root, f"sites/{site}/values")
        stored_ND = stored[filled_N]
        if stored_ND.dtype == np.uint8:
            center_D, channel_D = _array(root, f"sites/{site}/center"), _array(root, f"sites/{site}/channel")
            width = len(center_D)
            wide = 2 * -(-width // (2 * max(1, width // 128)))
            scale_NG = _array(root, "scales/group")[filled_N][:, column].astype(np.float32)
            step[site] = channel_D * np.abs(scale_NG)[:, np.arange(width) // wide]
            q = np.stack([stored_ND & 15, stored_ND >> 4], axis=-1).reshape(len(stored_ND), -1)[:, :width]
            scale_ND = scale_NG[:, np.arange(width) // wide]
            values[site] = center_D + channel_D * scale_ND * (q.astype(np.float32) - 8)
        elif stored_ND.dtype == np.int8:
            channel_D = _array(root, f"sites/{site}/channel")
            scale_N = _array(root, "scales/row")[filled_N][:, column].astype(np.float32)
            step[site] = channel_D * scale_N[:, None]
            values[site] = _array(root, f"sites/{site}/center") + step[site] * stored_ND
        elif stored_ND.dtype == np.uint16:
            values[site] = (stored_ND.astype(np.uint32) << 16).view(np.float32)
        else:
            values[site] = stored_ND.astype(np.float32)
    splits = dict(zip(sequences["id"], sequences["split"], strict=True))
    residues = list(zip(ids, position_N, strict=True))
    return PlainRows(residues, _array(root, "rows/token")[filled_N].tolist(), values, step, splits)


def contents(store: Path) -> dict[str, bytes]:
    """Return every file of a folder by its path inside."""
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def write_fasta(path: Path, records: Mapping[str, str]) -> Path:
    """Write sequences by id."""
    path.write_text("".join(f">{name}\n{residues}\n" for name, residues in records.items()), encoding="ascii")
    return path


def read_fasta(path: Path) -> dict[str, str]:
    """Read sequences by id, in a few lines that are not those under test."""
    records = (record.partition("\n") for record in path.read_text(encoding="ascii").split(">")[1:])
    return {header.split()[0]: "".join(body.split()) for header, _, body in records}


def _array(root: Any, path: str) -> NDArray[Any]:
    array: NDArray[Any] = root[path][:]
    return array
