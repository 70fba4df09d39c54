"""The rows of the stream benchmark: the same ones in a float16 store, an int8 store and flat files, in stored order.

python -m benchmarks.data.stream_rows FOLDER SCALE SEED
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.open import open_objects
from actstore.contracts.models import ModelFacts, ResidueTokenizer, Site
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.extract.task import extract_task
from actstore.store.read.assemble import write_manifest
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.writer import write_task
from actstore.view.progress import terminal_progress
from actstore.workflows.extraction.prepare import prepare
from actstore.workflows.recipes import parse_recipe
from benchmarks.contestants.contract import SCALES, Scale, site_name
from benchmarks.data.synthetic import SyntheticActivations

__all__ = ["ENCODINGS", "SyntheticModel", "main", "prepare_rows"]

Float32s = NDArray[np.float32]

ENCODINGS: Final = ("float16", "int8")
_LETTERS: Final = "ACDEFGHIKLMNPQRSTVWY"
_READY: Final = "ready.json"


class SyntheticModel:
    """An `ActivationModel` that knows every protein of a synthetic corpus and returns its rows.

    The letters of a protein mean nothing; they are random, so that each is told from all others by its text.
    """

    def __init__(self, activations: SyntheticActivations) -> None:
        self._activations = activations
        rng = np.random.default_rng([activations.seed, *b"letters"])
        letters = np.array(list(_LETTERS))
        self.residues = ["".join(rng.choice(letters, rows)) for rows in activations.rows_of_protein]
        """The proteins, in order."""
        self._protein_of = {text: protein for protein, text in enumerate(self.residues)}
        if len(self._protein_of) < activations.proteins:
            raise ValueError("two proteins have the same letters; make them longer or fewer")
        token_of = np.full(256, -1, dtype=np.int32)
        token_of[[ord(letter) for letter in _LETTERS]] = np.arange(4, 4 + len(_LETTERS))
        self._tokenizer = ResidueTokenizer(token_of, prefix=(0,), suffix=(2,), pad=1)
        self._sites = tuple(
            Site(site_name(site), module=f"synthetic.{site}", width=activations.width)
            for site in range(activations.sites)
        )

    @property
    def facts(self) -> ModelFacts:
        """What is recorded of the model."""
        digest = hashlib.sha256(repr(self._activations).encode()).hexdigest()
        return ModelFacts("synthetic", None, "SyntheticModel", digest, "float32", 0)

    @property
    def tokenizer(self) -> ResidueTokenizer:
        """A tokenizer of the twenty letters."""
        return self._tokenizer

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites."""
        return self._sites

    def only(self, sites: Collection[str]) -> SyntheticModel:
        """Never asked for: nothing is computed a second time."""
        raise NotImplementedError

    @property
    def most_tokens(self) -> int | None:
        """None: as many as are asked for."""
        return None

    @property
    def pack_tokens(self) -> None:
        """None: every sequence has a row of its own."""
        return None

    @property
    def device_rows(self) -> None:
        """None: it computes in the memory of the host."""
        return None

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        """Return the rows of the kept residues of whole proteins; see `ActivationModel`."""
        proteins = [self._protein_of[text] for text in residues]
        return {
            site.name: np.concatenate(
                [
                    self._activations.protein(index, protein)[positions]
                    for protein, positions in zip(proteins, kept, strict=True)
                ]
            )
            for index, site in enumerate(self._sites)
        }


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
    fasta = folder / "proteins.fasta"
    fasta.write_text("".join(f">protein{index}\n{text}\n" for index, text in enumerate(model.residues)))
    stores = {name: open_objects(str(folder / name)) for name in ENCODINGS}
    prepared = {
        name: prepare(
            objects, _recipe(fasta, scale, encoding=name, seed=seed), model, storage_options=None, progress=progress
        )
        for name, objects in stores.items()
    }
    plan = prepared["float16"].plan
    sequence_N = np.empty(scale.rows, dtype=np.int64)
    (folder / "flat").mkdir(exist_ok=True)
    one_ND = _new_flat(folder / "flat" / "one_site.npy", (scale.rows, scale.width))
    all_NX = _new_flat(folder / "flat" / "six_sites.npy", (scale.rows, scale.sites * scale.width))
    ends = list(itertools.accumulate((plan.rows_of(index) for index in range(plan.tasks)), initial=0))
    with (
        StoredSequences(stores["float16"]) as source,
        progress.stage("writing rows", total=plan.rows, unit="rows") as stage,
    ):
        for index, (start, stop) in enumerate(itertools.pairwise(ends)):
            task = plan.task(index)
            rows = extract_task(task, source, model, tokens_per_batch=8192, parallel=map)
            for name, objects in stores.items():
                write_task(objects, prepared[name].frozen, task, rows)
            sequence_N[start:stop] = rows.sequence_N
            for site, values_ND in enumerate(rows.values.values()):
                all_NX[start:stop, site * scale.width : (site + 1) * scale.width] = values_ND
            one_ND[start:stop] = all_NX[start:stop, : scale.width]
            stage.advance(stop - start)
    for objects in stores.values():
        write_manifest(objects, progress=progress)
    np.save(folder / "sequence.npy", sequence_N)
    all_NX.flush()
    one_ND.flush()
    ready.write_text(json.dumps(wanted))


def _recipe(fasta: Path, scale: Scale, *, encoding: str, seed: int) -> Recipe:
    return parse_recipe(
        {
            "model": {"name": "synthetic"},
            "corpus": {"sequences": str(fasta), "window_residues": 100_000},
            "sites": [site_name(site) for site in range(scale.sites)],
            "splits": {"fractions": {"train": 1.0}},
            "store": {"encoding": encoding, "task_rows": scale.task_rows, "chunk_rows": scale.chunk_rows},
            "seed": seed,
        },
        name="the stream benchmark",
    )


def _new_flat(path: Path, shape: tuple[int, int]) -> np.memmap[tuple[int, int], np.dtype[np.float16]]:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)


def main() -> None:
    """Write the rows."""
    folder, scale, seed = sys.argv[1:]
    prepare_rows(Path(folder), SCALES[scale], seed=int(seed), progress=terminal_progress())


if __name__ == "__main__":
    main()
