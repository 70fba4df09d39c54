"""Stores of synthetic activations, with the same rows in every encoding, written as any extraction writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ModelFacts
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.contracts.tasks import TaskRows
from actstore.extract.task import extract_task
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.writer import write_task
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction.plan import plan_extraction
from benchmarks.contestants.contract import site_name
from benchmarks.data.synthetic import SyntheticActivations

__all__ = ["SyntheticModel", "recipe_of", "write_fasta", "write_stores"]

Float32s = NDArray[np.float32]

_LETTERS: Final = "ACDEFGHIKLMNPQRSTVWY"


class SyntheticModel(FakeModel):
    """An `ActivationModel` that knows every protein of a synthetic corpus and returns its rows.

    The letters of a protein mean nothing; they are random, so that each is told from all others by its text.
    """

    def __init__(self, activations: SyntheticActivations) -> None:
        super().__init__(sites=[site_name(site) for site in range(activations.sites)], width=activations.width)
        self._synthetic = activations
        rng = np.random.default_rng([activations.seed, *b"letters"])
        letters = np.array(list(_LETTERS))
        self.residues = ["".join(rng.choice(letters, rows)) for rows in activations.rows_of_protein]
        """The proteins, in order."""
        self._protein_of = {text: protein for protein, text in enumerate(self.residues)}
        if len(self._protein_of) < activations.proteins:
            raise ValueError("two proteins have the same letters; make them longer or fewer")

    @property
    def facts(self) -> ModelFacts:
        """What is recorded of the model."""
        digest = hashlib.sha256(repr(self._synthetic).encode()).hexdigest()
        return ModelFacts("synthetic", None, "SyntheticModel", digest, "float32", 0)

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        """Return the rows of the kept residues of whole proteins; see `ActivationModel`."""
        proteins = [self._protein_of[text] for text in residues]
        return {
            site.name: np.concatenate(
                [
                    self._synthetic.protein(index, protein)[positions]
                    for protein, positions in zip(proteins, kept, strict=True)
                ]
            )
            for index, site in enumerate(self.sites)
        }


def recipe_of(fasta: Path, *, sites: int, seed: int = 0, **store: Any) -> Recipe:  # noqa: ANN401 - of the recipe
    """Return a recipe of every residue of every protein in one split; `store` is the table of that name."""
    return Recipe.model_validate(
        {
            "model": {"name": "synthetic"},
            "corpus": {"sequences": (str(fasta),), "window_residues": 100_000},
            "sites": [site_name(site) for site in range(sites)],
            "splits": {"fractions": {"train": 1.0}},
            "store": store,
            "seed": seed,
        }
    )


def write_stores(
    stores: Mapping[str, ObjectStore], recipes: Mapping[str, Recipe], model: SyntheticModel, *, progress: Progress
) -> Iterator[TaskRows]:
    """Extract the same rows into every store: planned, permuted, encoded, committed. Yield those of each task.

    The recipes differ in the encoding at most. Memory is one task of float32 rows.
    """
    prepared = {
        name: plan_extraction(objects, recipes[name], model, storage_options=None, progress=progress)
        for name, objects in stores.items()
    }
    first = next(iter(stores))
    plan = prepared[first].tasks
    with (
        StoredSequences(stores[first]) as source,
        progress.stage("writing rows", total=plan.rows, unit="rows") as stage,
    ):
        for task in map(plan.task, range(plan.tasks)):
            rows = extract_task(task, source, model, tokens_per_batch=8192, parallel=map)
            for name, objects in stores.items():
                write_task(objects, prepared[name].frozen, task, rows)
            yield rows
            stage.advance(task.rows)
    for objects in stores.values():
        write_manifest(objects, progress=progress)


def write_fasta(path: Path, model: SyntheticModel) -> Path:
    """Write the proteins of a model and return the path."""
    path.write_text("".join(f">protein{index}\n{text}\n" for index, text in enumerate(model.residues)))
    return path
