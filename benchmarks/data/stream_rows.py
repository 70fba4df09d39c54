"""The rows of the stream benchmark: the same ones in a float16 store, an int8 store and flat files, in stored order.

python -m benchmarks.data.stream_rows FOLDER SCALE SEED
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from actstore.access.open import open_objects
from actstore.contracts.progress import Progress
from actstore.view.progress import terminal_progress
from benchmarks.contestants.contract import SCALES, Scale
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.data.synthetic_stores import SyntheticModel, recipe_of, write_fasta, write_stores

__all__ = ["ENCODINGS", "main", "prepare_rows"]

ENCODINGS: Final = ("float16", "int8")
_READY: Final = "ready.json"


def prepare_rows(folder: Path, scale: Scale, *, seed: int, progress: Progress) -> None:
    """Write the stores `float16/` and `int8/`, `flat/*.npy` and `sequence.npy`, unless they are there already.

    The stores are written as any extraction writes them: planned, permuted, encoded, committed. The flat files hold
    what the float16 store holds, row for row. Memory is one task of float32 rows.

    Raises
    ------
    ValueError
        If the folder holds rows of another scale or seed.
    """
    wanted = {**asdict(scale), "seed": seed}
    ready = folder / _READY
    if ready.exists():
        if json.loads(ready.read_text()) != wanted:
            raise ValueError(f"{folder} holds rows of another scale or seed; remove it or give another folder")
        return
    folder.mkdir(parents=True, exist_ok=True)
    activations = SyntheticActivations(scale.rows, scale.sites, scale.width, scale.proteins, seed)
    model = SyntheticModel(activations)
    fasta = write_fasta(folder / "proteins.fasta", model)
    stores = {name: open_objects(str(folder / name)) for name in ENCODINGS}
    recipes = {
        name: recipe_of(
            fasta, sites=scale.sites, seed=seed, encoding=name, task_rows=scale.task_rows, chunk_rows=scale.chunk_rows
        )
        for name in ENCODINGS
    }
    sequence_N = np.empty(scale.rows, dtype=np.int64)
    (folder / "flat").mkdir(exist_ok=True)
    one_ND = _new_flat(folder / "flat" / "one_site.npy", (scale.rows, scale.width))
    all_NX = _new_flat(folder / "flat" / "six_sites.npy", (scale.rows, scale.sites * scale.width))
    start = 0
    for rows in write_stores(stores, recipes, model, progress=progress):
        stop = start + len(rows.sequence_N)
        sequence_N[start:stop] = rows.sequence_N
        for site, values_ND in enumerate(rows.values.values()):
            all_NX[start:stop, site * scale.width : (site + 1) * scale.width] = values_ND
        one_ND[start:stop] = all_NX[start:stop, : scale.width]
        start = stop
    np.save(folder / "sequence.npy", sequence_N)
    all_NX.flush()
    one_ND.flush()
    ready.write_text(json.dumps(wanted))


def _new_flat(path: Path, shape: tuple[int, int]) -> np.memmap[tuple[int, int], np.dtype[np.float16]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def main() -> None:
    """Write the rows."""
    folder, scale, seed = sys.argv[1:]
    prepare_rows(Path(folder), SCALES[scale], seed=int(seed), progress=terminal_progress())


if __name__ == "__main__":
    main()
