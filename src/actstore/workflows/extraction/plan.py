"""Turn a recipe into a frozen plan of its extraction: everything before the first task, each part resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actstore.access.objects import ObjectStore
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, RecipeChangedError, RecipeError, StoreError
from actstore.store.plan.tasks import Plan, plan_tasks
from actstore.store.write.freeze import complete_metadata, complete_sequences, freeze, has_sequences
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen_if_any
from actstore.store.write.part import refuse_part
from actstore.store.write.same_recipe import check_unchanged
from actstore.store.write.sequences import StoredSequences
from actstore.workflows.extraction.resolve import Resolution, resolving
from actstore.workflows.extraction.sizes import check_room

__all__ = ["ExtractionPlan", "begin_or_continue", "plan_extraction", "reopen", "replan", "require_sequences"]


@dataclass(frozen=True, slots=True, eq=False)
class ExtractionPlan:
    """What a recipe resolved to: what is frozen in the store, and the plan of its rows."""

    frozen: FrozenRecipe
    """Model, sites, corpus, sizes and calibration, as they are frozen in the store."""
    tasks: Plan
    """Which residue is which row of which task."""


def require_sequences(recipe: Recipe) -> None:
    """Refuse a recipe that can only be planned.

    Raises
    ------
    RecipeError
        If the recipe has no sequences, only their expected number and lengths.
    """
    if recipe.corpus.is_expected:
        raise RecipeError(
            f"corpus.expected_sequences ({recipe.corpus.expected_sequences:,}) is only for 'actstore plan', so there "
            "is nothing to extract; name the files: --sequences FILE, or corpus.sequences in place of it"
        )


def plan_extraction(
    objects: ObjectStore,
    recipe: Recipe,
    model: ActivationModel,
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress,
    keep_rows: bool = True,
) -> ExtractionPlan:
    """Begin or continue a store: resolve corpus, rows, calibration and compressor, each once.

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
        Whether rows will be written there; there must then be room for them.

    Raises
    ------
    RecipeChangedError
        If the store there was made with another recipe. A recipe that says `auto` accepts any frozen compressor.
    CorpusError
        If the sequences cannot be used.
    RecipeError
        If sites or sizes of the recipe exceed what a store can hold.
    """
    needs_sequences = load_frozen_if_any(objects) is None or not has_sequences(objects)
    with resolving(
        recipe, model, needs_sequences=needs_sequences, storage_options=storage_options, progress=progress
    ) as resolved:
        return begin_or_continue(objects, resolved, keep_rows=keep_rows)


def begin_or_continue(objects: ObjectStore, resolved: Resolution, *, keep_rows: bool = True) -> ExtractionPlan:
    """Freeze what was resolved, or compare it with what is frozen; see `plan_extraction`."""
    stored = load_frozen_if_any(objects)
    frozen = _begin(objects, resolved, keep_rows=keep_rows) if stored is None else _continue(objects, stored, resolved)
    return ExtractionPlan(frozen, resolved.tasks)


def _begin(objects: ObjectStore, resolved: Resolution, *, keep_rows: bool) -> FrozenRecipe:
    """Calibrate, choose the compressor, and freeze."""
    if keep_rows:
        check_room(objects, resolved.draft, rows_elsewhere=resolved.origin.rows_in(None).device_rows is not None)
    return freeze(objects, resolved.frozen, resolved.sequences.path)


def _continue(objects: ObjectStore, stored: FrozenRecipe, resolved: Resolution) -> FrozenRecipe:
    """Check that a store was begun with the same recipe, and complete what it lacks before its first task."""
    refuse_part(stored.part, uri=objects.uri)
    asked = resolved.draft
    if resolved.chooses_compressor:
        asked = asked.compressed_by(stored.layout.compressor)
    check_unchanged(stored, asked, uri=objects.uri)
    if resolved.needs_sequences:
        complete_sequences(objects, stored, resolved.sequences.path, sha256=resolved.sequences.sha256)
    complete_metadata(objects, stored)
    return stored


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
    UsageError
        If it is a part of a store.
    RecipeChangedError
        If `model` is not the one that the store was begun with.
    CorruptObjectError
        If the plan differs from the frozen one.
    StoreError
        If its sequences are missing.
    """
    refuse_part(frozen.part, uri=objects.uri)
    for what, there, here in (
        ("weights", frozen.model.weights_sha256, model.facts.weights_sha256),
        ("dtype", frozen.model.dtype, model.facts.dtype),
        ("sites", frozen.sites, model.sites),
    ):
        if there != here:
            raise RecipeChangedError(f"{objects.uri} was begun with {what} {there}, the model at hand has {here}")
    if not has_sequences(objects):
        raise StoreError(
            f"{objects.uri}: sequences.parquet is missing; write it again with 'actstore extract RECIPE --store URI' "
            "and the recipe that the store was begun with"
        )
    with StoredSequences(objects) as sequences:
        plan = plan_tasks(sequences.table(frozen.split_names), frozen.row_rules)
    if plan.digest() != frozen.plan_sha256:
        raise CorruptObjectError(
            f"{objects.uri}: sequences.parquet does not give the plan that recipe.json was frozen with; "
            "find the damage with 'actstore verify'"
        )
    return ExtractionPlan(frozen, plan)
