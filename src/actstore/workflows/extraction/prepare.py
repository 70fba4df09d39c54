"""From a recipe to a frozen store and its plan: everything before the first task."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.corpus.scan import Corpus, scan
from actstore.corpus.splits import assign_splits, read_clusters
from actstore.errors import CorruptObjectError, RecipeChangedError, RecipeError, StoreError
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.limits import layout_problem, sites_problem
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order
from actstore.store.write.freeze import complete_metadata, complete_sequences, freeze, has_sequences
from actstore.store.write.frozen import CorpusFacts, FrozenRecipe, SplitFacts, check_unchanged, load_frozen_if_any
from actstore.store.write.sequences import StoredSequences, write_sequences
from actstore.workflows.extraction.calibrate import calibrate_sites
from actstore.workflows.extraction.compress import PlanOrder, choose_compressor, with_compressor
from actstore.workflows.extraction.sizes import check_room, choose_task_rows

__all__ = ["Prepared", "prepare", "reopen", "replan", "table_of"]

_RECORDED: Final = ("actstore", "torch", "transformers", "numpy", "zarr", "numcodecs", "pyarrow")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A store that only needs its tasks done."""

    frozen: FrozenRecipe
    plan: Plan


def prepare(
    objects: ObjectStore,
    recipe: Recipe,
    model: ActivationModel,
    *,
    storage_options: Mapping[str, Any] | None,
    progress: Progress,
    keep_rows: bool = True,
) -> Prepared:
    """Read the corpus, lay out the rows, calibrate and freeze; or find that all this was done before.

    With `compressor = "auto"` the first task is tried before anything is frozen.

    Parameters
    ----------
    objects, recipe, model
        Where the store is or will be, and what it is made from.
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
    stored = load_frozen_if_any(objects)
    keep_residues = stored is None or not has_sequences(objects)
    with (
        _spool_folder() as spool,
        scan(
            recipe.corpus,
            alphabet=model.tokenizer.alphabet,
            spool=spool if keep_residues else None,
            storage_options=storage_options,
            progress=progress,
        ) as corpus,
    ):
        recipe = choose_task_rows(recipe, model.sites, residues=corpus.total_residues)
        table = table_of(corpus, recipe, storage_options=storage_options)
        order_N = sequence_order(table, seed=recipe.seed)
        ordered = SequenceTable(table.id_hash_N[order_N], table.length_N[order_N], table.split_N[order_N], table.splits)
        plan = plan_tasks(ordered, recipe)
        if problem := sites_problem(model.sites) or layout_problem(model.sites, recipe.store, plan.tasks):
            raise RecipeError(f"{objects.uri} cannot be laid out: {problem}")
        auto = recipe.store.compressor == "auto"
        sequences, digest = spool / "sequences.parquet", ""
        if keep_residues:
            try:
                digest = write_sequences(sequences, corpus, ordered, plan.kept_N, order_N)
            except OSError as error:
                raise _no_room(spool, error) from error
        if stored is not None:
            named = with_compressor(recipe, stored.recipe.store.compressor) if auto else recipe
            asked = _freezable(named, corpus, model, plan)
            check_unchanged(stored, asked, uri=objects.uri)
            if keep_residues:
                complete_sequences(objects, stored, sequences, sha256=digest)
            complete_metadata(objects, stored)
            return Prepared(stored, plan)
        named = with_compressor(recipe, "none") if auto else recipe
        frozen = _freezable(named, corpus, model, plan).model_copy(update={"sequences_sha256": digest})
        if keep_rows:
            check_room(objects, frozen, rows_elsewhere=model.device_rows is not None)
        if QUANTIZERS[recipe.store.encoding].calibrated:
            calibration = calibrate_sites(recipe, table, corpus, model, progress=progress)
            frozen = frozen.model_copy(update={"calibration": calibration})
        if auto:
            frozen = choose_compressor(frozen, plan, PlanOrder(corpus, order_N), model, progress=progress)
        return Prepared(freeze(objects, frozen, sequences), plan)


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


def reopen(objects: ObjectStore, frozen: FrozenRecipe, model: ActivationModel) -> Prepared:
    """Return the plan of a frozen store, with its metadata completed; raises as `replan`."""
    prepared = replan(objects, frozen, model)
    complete_metadata(objects, frozen)
    return prepared


def replan(objects: ObjectStore, frozen: FrozenRecipe, model: ActivationModel) -> Prepared:
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
        plan = plan_tasks(sequences.table(tuple(frozen.recipe.splits.fractions)), frozen.recipe)
    if plan.digest() != frozen.plan_sha256:
        raise CorruptObjectError(
            f"{objects.uri}: sequences.parquet does not give the plan that recipe.json was frozen with; "
            "find the damage with 'actstore verify'"
        )
    return Prepared(frozen, plan)


def table_of(corpus: Corpus, recipe: Recipe, *, storage_options: Mapping[str, Any] | None) -> SequenceTable:
    """Return lengths, hashed ids and splits of a corpus, in its order."""
    cluster_hash_N = None
    if recipe.splits.clusters is not None:
        cluster_hash_N = read_clusters(
            recipe.splits.clusters,
            corpus.id_hash_N,
            sequence_id=corpus.sequence_id,
            storage_options=storage_options,
        )
    fractions = recipe.splits.fractions
    split_N = assign_splits(corpus.id_hash_N, fractions, seed=recipe.seed, cluster_hash_N=cluster_hash_N)
    return SequenceTable(corpus.id_hash_N, corpus.length_N, split_N, tuple(fractions))


def _freezable(recipe: Recipe, corpus: Corpus, model: ActivationModel, plan: Plan) -> FrozenRecipe:
    """Describe a recipe and what it resolved to, but for the file of sequences and the calibration."""
    return FrozenRecipe(
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
            for split in plan.splits
        },
        rows=plan.rows,
        tasks=plan.tasks,
        array_rows=plan.array_rows,
        plan_sha256=plan.digest(),
        sequences_sha256="0" * 64,
        calibration=None,
        software={name: version(name) for name in _RECORDED},
    )
