"""How many proteins a second come out of a store by their ids, in random order, beside other ways to keep them.

One site of 1,024 features, float16, 2,000 proteins; every contestant returns the rows of a protein as float32 [L, D].
A store has its rows shuffled for training, so a protein lies in most of its chunks; files with one array for each
protein have it in one piece, and are of no use to train from in random order.

- `actstore`: `open_store(...).rows(sequence=ID)`; every chunk is compared with its checksum at its first use.
- `h5py`: one data set for each protein, as bio_embeddings and UniProt publish embeddings.
- `npy`: one `.npy` file for each protein.
- `gather`: the rows of the protein gathered from one array in memory by their numbers, and converted: the limit of any
  store with shuffled rows.

    python -m benchmarks.proteins
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from actstore import Store, open_store
from actstore.access.open import LocalObjects
from actstore.contracts.progress import Progress
from actstore.view.progress import terminal_progress
from benchmarks.contestants.contract import site_name
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.data.synthetic_stores import SyntheticModel, recipe_of, write_fasta, write_stores
from benchmarks.pages import markdown
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import ratios_of_rounds, spread

__all__ = ["CONTESTANTS", "FULL", "main", "measure", "table"]

FULL: Final = SyntheticActivations(rows=500_000, sites=1, width=1024, proteins=2000)
READS: Final = 2000
"""Proteins of a round, drawn with replacement."""
SITE: Final = site_name(0)
CONTESTANTS: Final = {
    "gather": "gather from memory by row numbers: the limit of shuffled rows",
    "actstore": "**actstore**: `store.rows(sequence=ID)`, checked",
    "h5py": "HDF5, one data set for each protein",
    "npy": "one `.npy` file for each protein",
}

Read = Callable[[str], NDArray[np.float32]]


def measure(activations: SyntheticActivations, *, reads: int, rounds: int, progress: Progress) -> dict[str, Any]:
    """Write every kind of file once, and read random proteins from each in turn, round by round."""
    with tempfile.TemporaryDirectory(prefix="actstore-proteins-") as folder:
        names = _write(Path(folder), activations, progress)
        with (
            open_store(Path(folder) / "store", progress=progress) as store,
            h5py.File(Path(folder) / "proteins.h5") as file,
        ):
            started = time.perf_counter()
            store.rows(names[0], sites=SITE)
            index_s = time.perf_counter() - started
            readers = _readers(Path(folder), store, file, names)
            _compare(readers, names[:: max(len(names) // 20, 1)])
            first_s = _seconds(readers["actstore"], names)  # maps and checks every chunk
            rng = np.random.default_rng(0)
            rates: dict[str, list[float]] = {name: [] for name in readers}
            with progress.stage("reading proteins", total=rounds * len(readers), unit="rounds") as stage:
                for _ in range(rounds):
                    chosen = [names[place] for place in rng.integers(len(names), size=reads)]
                    for name, read in readers.items():
                        rates[name].append(reads / _seconds(read, chosen))
                        stage.advance(1)
    return {
        "proteins": activations.proteins,
        "rows": activations.rows,
        "width": activations.width,
        "reads": reads,
        "rounds": rounds,
        "index_s": index_s,
        "first_proteins_per_s": len(names) / first_s,
        "proteins_per_s": {name: spread(values) for name, values in rates.items()},
        "ratios": {f"actstore_over_{name}": ratios_of_rounds(rates, "actstore", name) for name in rates},
    }


def table(results: Mapping[str, Any]) -> str:
    """Return contestants as rows: proteins a second, and ours as a multiple of each."""
    lines = [
        [
            title,
            markdown.spread_cell(results["proteins_per_s"][name], digits=0),
            markdown.spread_cell(results["ratios"][f"actstore_over_{name}"]),
        ]
        for name, title in CONTESTANTS.items()
    ]
    notes = (
        f"{results['proteins']:,} proteins, {results['rows']:,} rows of {results['width']:,} features, float16, warm. "
        f"The first question for a protein took {results['index_s']:.2f} s (the index), and the first pass over all "
        f"proteins, which checks every chunk, had {results['first_proteins_per_s']:,.0f} proteins/s."
    )
    heads = ("", "proteins/s", "actstore over it")
    return "\n".join([markdown.table(heads, lines), "", notes, "", markdown.machine_line(results)])


def _write(folder: Path, activations: SyntheticActivations, progress: Progress) -> list[str]:
    """Write the store and the files of the others; return the ids."""
    model = SyntheticModel(activations)
    recipe = recipe_of(write_fasta(folder / "proteins.fasta", model), sites=1, encoding="float16")
    for _rows in write_stores({"store": LocalObjects(folder / "store")}, {"store": recipe}, model, progress=progress):
        pass
    names = [f"protein{index}" for index in range(activations.proteins)]
    (folder / "npy").mkdir()
    with h5py.File(folder / "proteins.h5", "w") as file:
        for index, name in enumerate(names):
            rows = activations.protein(0, index).astype(np.float16)
            file.create_dataset(name, data=rows)
            np.save(folder / "npy" / f"{name}.npy", rows)
    return names


def _readers(folder: Path, store: Store, file: h5py.File, names: Sequence[str]) -> dict[str, Read]:
    values_ND = np.concatenate([np.load(folder / "npy" / f"{name}.npy") for name in names])
    rng = np.random.default_rng(1)
    place_N = rng.permutation(len(values_ND))
    shuffled_ND = np.empty_like(values_ND)
    shuffled_ND[place_N] = values_ND
    ends = np.cumsum([file[name].shape[0] for name in names])
    rows_of = {name: place_N[end - file[name].shape[0] : end] for name, end in zip(names, ends, strict=True)}
    return {
        "gather": lambda name: shuffled_ND[rows_of[name]].astype(np.float32),
        "actstore": lambda name: store.rows(name, sites=SITE).values_ND,
        "h5py": lambda name: file[name][:].astype(np.float32),
        "npy": lambda name: np.load(folder / "npy" / f"{name}.npy").astype(np.float32),
    }


def _compare(readers: dict[str, Read], names: Sequence[str]) -> None:
    for name in names:
        wanted = readers["npy"](name)
        for read in readers.values():
            np.testing.assert_array_equal(read(name), wanted)


def _seconds(read: Read, names: Sequence[str]) -> float:
    started = time.perf_counter()
    for name in names:
        read(name)
    return time.perf_counter() - started


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("proteins", look_only=asked.no_write)
    recording.finish(measure(FULL, reads=READS, rounds=asked.rounds, progress=terminal_progress(quiet=False)))


if __name__ == "__main__":
    main()
