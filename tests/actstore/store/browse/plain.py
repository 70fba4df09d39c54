"""A store as plain Zarr has it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from actstore.contracts.planes import Planes
from actstore.quantize.table import QUANTIZERS
from actstore.store.read.open import open_manifest

__all__ = ["LARGE", "Plain", "plain"]

LARGE = {"corpus.window_residues": 64, "corpus.window_overlap": 16}
"""Several windows of most proteins."""


class Plain(NamedTuple):
    """A store as plain Zarr has it, holes included."""

    sequence_N: NDArray[np.int64]
    position_N: NDArray[np.int32]
    values: dict[str, NDArray[np.float32]]
    ids: list[str]
    residues: list[str]

    @property
    def row_N(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.sequence_N >= 0)


def plain(folder: Path) -> Plain:
    manifest = open_manifest(folder)
    root = zarr.open_group(folder, mode="r")
    quantizer = QUANTIZERS[manifest.encoding]
    values = {}
    for column, site in enumerate(manifest.sites):
        scales = np.asarray(root[f"scales/{quantizer.scales}"]) if quantizer.scales else None
        scale_NG = (
            None if scales is None else scales[:, column].reshape(len(scales), -1)[:, : quantizer.scale_groups(16)]
        )
        planes = Planes(np.asarray(root[f"sites/{site.name}/values"]), scale_NG)
        values[site.name] = quantizer.decode(planes, manifest.frozen.site_calibration(site.name))
    table = pq.read_table(folder / "sequences.parquet")
    rows = [np.asarray(root[f"rows/{name}"]) for name in ("sequence", "position")]
    return Plain(rows[0], rows[1], values, table["id"].to_pylist(), table["residues"].to_pylist())
