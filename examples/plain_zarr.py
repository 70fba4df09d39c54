"""Read the activations of a store with zarr and NumPy alone, whatever its encoding: ``plain_zarr.py STORE SITE``.

The formulas are those of docs/reference/format.md. The file imports nothing of actstore: copy it into any project.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray


def read_rows(store: str, site: str, rows: slice | NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the activations of a site at some global rows of a local store: float32 [N, D].

    Holes are left out. A hole is a row without a residue: `rows/sequence` is -1 there. Holes follow the last row of a
    split, and stand for each task that is not finished yet. `rows/sequence`, `rows/position` and `rows/token` say where
    the rows came from; leave out the same holes there.
    """
    root: Any = zarr.open_group(store, mode="r")
    filled = root["rows/sequence"].oindex[rows] >= 0  # the other rows are holes
    q: Any = root[f"sites/{site}/values"].oindex[rows][filled]
    if q.dtype == "float16":
        return q.astype("float32")
    if q.dtype == "uint16":  # bfloat16
        return (q.astype("uint32") << 16).view("float32")
    sites = json.loads(Path(store, "recipe.json").read_bytes())["sites"]
    column = [name for name, *_ in sites].index(site)
    center, channel = root[f"sites/{site}/center"][:], root[f"sites/{site}/channel"][:]
    if q.dtype == "int8":
        scale = root["scales/row"].oindex[rows][filled, column, None]
    else:  # int4: two channels in a byte, a scale for each group of channels
        d = np.arange(len(center))
        group = 2 * -(-len(d) // (2 * max(1, len(d) // 128)))
        scale = root["scales/group"].oindex[rows][filled, column][:, d // group]
        q = ((q[:, d // 2] >> d % 2 * 4) % 16 - 8).astype("int8")
    return center + channel * scale * q


def main() -> None:
    """Print the number and the mean norm of the rows of a site."""
    store, site = sys.argv[1:]
    values_ND = read_rows(store, site, slice(None))
    norm_N = np.linalg.norm(values_ND, axis=1)
    print(f"{site}: {len(values_ND)} rows of {values_ND.shape[1]} features, mean norm {norm_N.mean():.4g}")


if __name__ == "__main__":
    main()
