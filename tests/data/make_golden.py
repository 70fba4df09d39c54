"""Make the golden store: run once for each version of the format, from the repository root.

    python tests/data/make_golden.py

`tests/actstore/store/test_golden.py` then holds the code to it. A store that was written once must open as long as its
format version is read, so an existing one is never made again for the same version.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import zarr

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with

DATA = Path(__file__).parent
STORE = "golden-store"
MODEL = FakeModel(sites=("embed", "resid_post.0"), width=8)
RECIPE = Recipe.model_validate(
    {
        "model": {"name": "fake"},
        "corpus": {"sequences": "golden.fasta", "window_residues": 32, "window_overlap": 8},
        "sites": ["embed", "resid_post.0"],
        "rows": {"fraction": 0.8},
        "splits": {"fractions": {"train": 0.7, "test": 0.3}},
        "store": {"task_rows": 64, "chunk_rows": 16, "calibration_sequences": 5},
        "seed": 7,
    }
)


def main() -> None:
    """Write the store, and its rows as plain zarr and the formula of docs/reference/format.md decode them."""
    os.chdir(DATA)
    if Path(STORE).exists():
        raise SystemExit(f"{DATA / STORE} is there already; a golden store is made once")
    extract_with(MODEL, LocalObjects(Path(STORE)), RECIPE)
    root = zarr.open_group(STORE, mode="r")

    def read(path: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.asarray(root[path]).astype(np.float32)

    scale_NS = read("scales/row")
    rows_NSD = np.stack(
        [
            read(f"sites/{site.name}/center")
            + read(f"sites/{site.name}/channel") * (scale_NS[:, index, None] * read(f"sites/{site.name}/values"))
            for index, site in enumerate(MODEL.sites)
        ],
        axis=1,
    )
    np.save("golden-rows.npy", rows_NSD, allow_pickle=False)


if __name__ == "__main__":
    main()
