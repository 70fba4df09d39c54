"""A store of so many tasks, of which one was really extracted: see `benchmarks.data.made_up_filesystem`."""

from __future__ import annotations

import random
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from actstore.access.open import LocalObjects
from actstore.contracts.hashing import hash_text
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import ResidueSource, SequenceTable
from actstore.extract.task import ModelRows, extract_task
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order
from actstore.store.write.commit import Commit, StoredObject
from actstore.store.write.facts import CorpusFacts, SplitFacts
from actstore.store.write.freeze import freeze
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences, write_sequences
from actstore.store.write.writer import encode_task
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction.calibrate import calibrate_sites
from benchmarks.data.made_up_filesystem import MARK

__all__ = ["RESIDUES", "TASK_ROWS", "make_store", "model", "recipe_of", "table_of"]

RESIDUES: Final = 512
"""Of every protein."""
TASK_ROWS: Final = 5120
_LETTERS: Final = "ACDEFGHIKLMNPQRSTVWY"


def recipe_of(*, task_rows: int = TASK_ROWS) -> Recipe:
    """Return the recipe: every residue of every protein, one split, so that every task is full."""
    return Recipe.model_validate(
        {
            "model": {"name": "fake"},
            "corpus": {"sequences": "made-up.fasta"},
            "splits": {"fractions": {"train": 1.0}},
            "store": {"task_rows": task_rows, "chunk_rows": 256, "calibration_sequences": 16},
        }
    )


def model() -> FakeModel:
    """Return the model: four sites of sixteen features."""
    return FakeModel()


class _Proteins:
    """Random proteins of one length, which compress as badly as natural ones; a `ResidueSource`."""

    def __init__(self) -> None:
        self._letters = "".join(random.Random(0).choices(_LETTERS, k=1 << 20))  # noqa: S311 - no secret

    def residues(self, sequence: int) -> str:
        """Return a stretch of one long random text."""
        start = sequence * 7919 % ((1 << 20) - RESIDUES)
        return self._letters[start : start + RESIDUES]

    def sequence_id(self, sequence: int) -> str:
        """Return an id as long as those of UniRef."""
        return f"UniRef50_P{sequence:09d}"


def table_of(sequences: int) -> SequenceTable:
    """Return what a plan needs of so many proteins, in the order of the corpus."""
    source = _Proteins()
    hashes = (hash_text(source.sequence_id(index)) for index in range(sequences))
    return SequenceTable(
        np.fromiter(hashes, dtype=np.uint64, count=sequences),
        np.full(sequences, RESIDUES, dtype=np.int32),
        np.zeros(sequences, dtype=np.int8),
        ("train",),
    )


def make_store(folder: Path, *, tasks: int, task_rows: int = TASK_ROWS) -> None:
    """Write what `MadeUpFileSystem` needs to show a store of so many full tasks."""
    if task_rows % RESIDUES:
        raise ValueError(f"{task_rows} rows are no whole number of proteins of {RESIDUES}")
    recipe, source = recipe_of(task_rows=task_rows), _Proteins()
    table = table_of(tasks * task_rows // RESIDUES)
    order_N = sequence_order(table, seed=recipe.seed)
    ordered = table.take(order_N)
    plan = plan_tasks(ordered, recipe.row_rules)
    folder.mkdir(parents=True, exist_ok=True)
    sequences = folder / "sequences.parquet"
    digest = write_sequences(sequences, source, ordered, plan.kept_N, order_N)
    calibration = calibrate_sites(
        recipe.calibration_rules,
        table,
        ModelRows(source, model(), recipe.model.tokens_per_batch),
        progress=Silent(),
    )
    frozen = _frozen(recipe, plan, digest).model_copy(update={"calibration": calibration})
    objects = LocalObjects(folder / "objects")
    freeze(objects, frozen, sequences)
    sequences.unlink()
    with StoredSequences(objects) as stored:
        _write_task(folder, frozen, plan, stored)


def _frozen(recipe: Recipe, plan: Plan, sequences_sha256: str) -> FrozenRecipe:
    return FrozenRecipe(
        recipe=recipe,
        corpus=CorpusFacts(digest="0" * 64, sequences=len(plan.table), residues=len(plan.table) * RESIDUES, skipped={}),
        model=model().facts,
        sites=model().sites,
        splits={
            split.name: SplitFacts(
                sequences=split.sequences, rows=split.rows, first_task=split.first_task, tasks=split.tasks
            )
            for split in plan.splits
        },
        rows=plan.rows,
        tasks=plan.tasks,
        array_rows=plan.array_rows,
        plan_sha256=plan.digest(),
        sequences_sha256=sequences_sha256,
        calibration=None,
        software={name: version(name) for name in ("actstore", "numpy", "pyarrow", "zarr")},
    )


def _write_task(folder: Path, frozen: FrozenRecipe, plan: Plan, source: ResidueSource) -> None:
    """Extract the first task, and write its objects and a commit in which only the number is open."""
    task = plan.task(0)
    shards = encode_task(frozen, task, extract_task(task, source, model(), tokens_per_batch=8192, parallel=map))
    specs = frozen.arrays
    objects: dict[str, StoredObject] = {}
    for spec in specs:
        shard = shards.get(spec.object_path(0))
        if shard is None:
            continue  # of the calibration, which no task writes
        objects[spec.object_path(MARK)] = StoredObject.of(shard.data, shard.crc32c)
        place = folder / "arrays" / spec.path / "object"
        place.parent.mkdir(parents=True)
        place.write_bytes(shard.data)
    commit = Commit(task=MARK, split=task.split, rows=task.rows, recipe_sha256=frozen.digest, objects=objects)
    (folder / "commit.json").write_bytes(commit.to_json())
