"""From a recipe to a frozen plan of its extraction: everything before the first task, each thing resolved once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.corpus.scan import Corpus, scan
from actstore.corpus.splits import split_corpus
from actstore.errors import CorruptObjectError, RecipeChangedError, RecipeError, StoreError
from actstore.store.format.layout import SEQUENCES, StoreLayout
from actstore.store.format.limits import layout_problem, sites_problem
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order
from actstore.store.write.freeze import complete_metadata, complete_sequences, freeze, has_sequences
from actstore.store.write.frozen import (
    CorpusFacts,
    FrozenRecipe,
    SplitFacts,
    check_unchanged,
    load_frozen,
    load_frozen_if_any,
)
from actstore.store.write.sequences import StoredSequences, write_sequences
from actstore.workflows.extraction.calibrate import calibrate_sites
from actstore.workflows.extraction.compress import PlanOrder, choose_compressor
from actstore.workflows.extraction.sizes import check_room, choose_task_rows

__all__ = ["ExtractionPlan", "plan_extraction", "reopen", "replan"]

_NO_DIGEST: Final = "0" * 64
"""Of sequences that need not be written."""
_RECORDED: Final = ("actstore", "torch", "transformers", "numpy", "zarr", "numcodecs", "pyarrow")


@dataclass(frozen=True, slots=True, eq=False)
class ExtractionPlan:
    """All that a recipe resolved to: whoever comes after it asks for nothing else."""

    frozen: FrozenRecipe
    """Model, sites, corpus, sizes and calibration, as they are frozen in the store."""
    tasks: Plan
    """Which residue is which row of which task."""


def plan_extraction(
    objects: ObjectStore,
    recipe: Recipe | None,
    model: ActivationModel,
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress,
    keep_rows: bool = True,
) -> ExtractionPlan:
    """Begin a store, or continue the one that is there: corpus, rows, calibration and compressor, each resolved once.

    With `compressor = "auto"` the first task is tried before anything is frozen.

    Parameters
    ----------
    objects, recipe, model
        Where the store is or will be, and what it is made from. Without a recipe, the one that is frozen there.
    storage_options
        Passed to fsspec.
    progress
        Where to report.
    keep_rows
        Whether rows will be written there, for which there must be room.

    Raises
    ------
    RecipeChangedError
        If a store made with another recipe is there. A recipe that says `auto` accepts any compressor that is frozen.
    CorpusError
        If the sequences cannot be used.
    RecipeError
        If sites or sizes of the recipe are beyond what a store holds.
    """
    if recipe is None:
        return reopen(objects, load_frozen(objects), model)
    stored = load_frozen_if_any(objects)
    needs_sequences = stored is None or not has_sequences(objects)
    with (
        _spool_folder() as folder,
        scan(
            recipe.corpus,
            alphabet=model.tokenizer.alphabet,
            spool=folder if needs_sequences else None,
            storage_options=storage_options,
            progress=progress,
        ) as corpus,
    ):
        table = split_corpus(corpus, recipe.splits, seed=recipe.seed, storage_options=storage_options)
        recipe = choose_task_rows(recipe, model.sites, residues=corpus.total_residues)
        draft = _lay_out(recipe, corpus, table, model, folder if needs_sequences else None, uri=objects.uri)
        if stored is not None:
            return _continue(objects, stored, draft)
        return _begin(objects, draft, table, corpus, model, progress=progress, keep_rows=keep_rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """What a recipe resolves to without running the model."""

    frozen: FrozenRecipe
    """Without calibration; with the compressor `none` where it is to be chosen."""
    tasks: Plan
    order_N: NDArray[np.int64]
    """Place in the corpus of each sequence of the plan."""
    sequences: Path | None
    """Local file of the sequences, unless the store has them."""
    chooses_compressor: bool


def _lay_out(
    recipe: Recipe, corpus: Corpus, table: SequenceTable, model: ActivationModel, folder: Path | None, *, uri: str
) -> _Draft:
    """Plan the rows, and describe recipe, corpus, model and plan; write the sequences to a folder, if there is one."""
    order_N = sequence_order(table, seed=recipe.seed)
    ordered = SequenceTable(table.id_hash_N[order_N], table.length_N[order_N], table.split_N[order_N], table.splits)
    tasks = plan_tasks(ordered, recipe.row_rules)
    layout = StoreLayout.of(model.sites, recipe.store)
    if problem := sites_problem(model.sites) or layout_problem(layout, tasks.tasks):
        raise RecipeError(f"{uri} cannot be laid out: {problem}")
    sequences, digest = None, _NO_DIGEST
    if folder is not None:
        sequences = folder / SEQUENCES
        try:
            digest = write_sequences(sequences, corpus, ordered, tasks.kept_N, order_N)
        except OSError as error:
            raise _no_room(folder, error) from error
    chooses = recipe.store.compressor == "auto"
    if chooses:
        recipe = recipe.model_copy(update={"store": recipe.store.model_copy(update={"compressor": "none"})})
    frozen = FrozenRecipe(
        recipe=recipe,
        corpus=CorpusFacts(
            digest=corpus.digest,
            sequences=len(corpus),
            residues=corpus.total_residues,
            skipped=dict(corpus.skipped),
        ),
        model=model.facts,
        sites=model.sites,
        splits={
            split.name: SplitFacts(
                sequences=split.sequences, rows=split.rows, first_task=split.first_task, tasks=split.tasks
            )
            for split in tasks.splits
        },
        rows=tasks.rows,
        tasks=tasks.tasks,
        array_rows=tasks.array_rows,
        plan_sha256=tasks.digest(),
        sequences_sha256=digest,
        calibration=None,
        software={name: version(name) for name in _RECORDED},
    )
    return _Draft(frozen, tasks, order_N, sequences, chooses)


def _continue(objects: ObjectStore, stored: FrozenRecipe, draft: _Draft) -> ExtractionPlan:
    """Find that a store was begun with the same, and complete what it lacks before its first task."""
    asked = draft.frozen
    if draft.chooses_compressor:
        asked = asked.compressed_by(stored.layout.compressor)
    check_unchanged(stored, asked, uri=objects.uri)
    if draft.sequences is not None:
        complete_sequences(objects, stored, draft.sequences, sha256=asked.sequences_sha256)
    complete_metadata(objects, stored)
    return ExtractionPlan(stored, draft.tasks)


def _begin(
    objects: ObjectStore,
    draft: _Draft,
    table: SequenceTable,
    corpus: Corpus,
    model: ActivationModel,
    *,
    progress: Progress,
    keep_rows: bool,
) -> ExtractionPlan:
    """Calibrate, choose the compressor, and freeze."""
    frozen = draft.frozen
    if keep_rows:
        check_room(objects, frozen, rows_elsewhere=model.device_rows is not None)
    if frozen.quantizer.calibrated:
        calibration = calibrate_sites(frozen.recipe, table, corpus, model, progress=progress)
        frozen = frozen.model_copy(update={"calibration": calibration})
    if draft.chooses_compressor:
        frozen = choose_compressor(frozen, draft.tasks, PlanOrder(corpus, draft.order_N), model, progress=progress)
    assert draft.sequences is not None  # noqa: S101 - a store that is begun has none yet
    return ExtractionPlan(freeze(objects, frozen, draft.sequences), draft.tasks)


@contextmanager
def _spool_folder() -> Iterator[Path]:
    """Give a folder for what has to be at hand until the store is frozen."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="actstore-")
    except OSError as error:
        raise _no_room(Path(tempfile.tempdir or "TMPDIR"), error) from error
    with folder as name:
        yield Path(name)


def _no_room(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{folder}: cannot hold the sequences before they are stored: {error.strerror or error}; set TMPDIR to a "
        "folder with room for them"
    )


def reopen(objects: ObjectStore, frozen: FrozenRecipe, model: ActivationModel) -> ExtractionPlan:
    """Return the plan of a frozen store, with its metadata completed; raises as `replan`."""
    plan = replan(objects, frozen, model)
    complete_metadata(objects, frozen)
    return plan


def replan(objects: ObjectStore, frozen: FrozenRecipe, model: ActivationModel) -> ExtractionPlan:
    """Return the plan of a frozen store from its own sequences, after checking that nothing else changed.

    Nothing is written.

    Raises
    ------
    RecipeChangedError
        If the model at hand is not the one that the store was begun with.
    CorruptObjectError
        If the plan does not come out as it was frozen.
    StoreError
        If its sequences are missing.
    """
    for what, there, here in (
        ("weights", frozen.model.weights_sha256, model.facts.weights_sha256),
        ("dtype", frozen.model.dtype, model.facts.dtype),
        ("sites", frozen.sites, model.sites),
    ):
        if there != here:
            raise RecipeChangedError(f"{objects.uri} was begun with {what} {there}, the model at hand has {here}")
    if not has_sequences(objects):
        raise StoreError(
            f"{objects.uri}: sequences.parquet is missing; 'actstore extract RECIPE --store URI', with the recipe that "
            "it was begun with, writes it again"
        )
    with StoredSequences(objects) as sequences:
        plan = plan_tasks(sequences.table(tuple(frozen.recipe.splits.fractions)), frozen.recipe.row_rules)
    if plan.digest() != frozen.plan_sha256:
        raise CorruptObjectError(
            f"{objects.uri}: sequences.parquet does not give the plan that recipe.json was frozen with; "
            "find the damage with 'actstore verify'"
        )
    return ExtractionPlan(frozen, plan)
