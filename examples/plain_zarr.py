"""Read the activations of a store with zarr and NumPy alone, whatever its encoding: ``plain_zarr.py STORE SITE``.

The formulas are those of docs/format.md. Nothing of actstore is imported, so the file can be copied into any project.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray


def read_rows(store: str, site: str, rows: slice | NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the activations of a site at some global rows of a local store: float32 [N, D].

    Holes are left out. These are the rows that no residue fills: `rows/sequence` is -1 there. They follow the last
    row of a split, and take the place of each task that is not done yet. To learn where the rows came from, read
    `rows/sequence`, `rows/position` and `rows/token` and leave out the same holes.
    """
    root: Any = zarr.open_group(store, mode="r")
    filled = root["rows/sequence"].oindex[rows] >= 0
    q: Any = root[f"sites/{site}/values"].oindex[rows][filled]
    if q.itemsize == 2:
        return q.astype("float32") if q.dtype == "float16" else (q.astype("uint32") << 16).view("float32")
    column = [name for name, *_ in json.loads(pathlib.Path(store, "recipe.json").read_bytes())["sites"]].index(site)
    center, channel = root[f"sites/{site}/center"][:], root[f"sites/{site}/channel"][:]
    if q.dtype == "int8":
        return center + channel * root["scales/row"].oindex[rows][filled, column, None] * q
    d = np.arange(len(center))
    scale = root["scales/group"].oindex[rows][filled, column][:, d // (2 * -(-len(d) // (2 * max(1, len(d) // 128))))]
    return center + channel * scale * ((q[:, d // 2] >> d % 2 * 4) % 16 - 8).astype("int8")


def main() -> None:
    """Say how many rows a store has at a site, and how long they are."""
    store, site = sys.argv[1:]
    values_ND = read_rows(store, site, slice(None))
    norm_N = np.linalg.norm(values_ND, axis=1)
    print(f"{site}: {len(values_ND)} rows of {values_ND.shape[1]} features, mean norm {norm_N.mean():.4g}")


if __name__ == "__main__":
    main()
