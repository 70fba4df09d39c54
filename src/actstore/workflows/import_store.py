"""Import: turn files with activations that exist already into a store, or continue where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.printable import printable
from actstore.access.scratch import sweep_scratch
from actstore.contracts.models import ModelFacts, Site
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import with_keyword_hints
from actstore.contracts.unknown import KNOWABLE, UNKNOWN_MODEL
from actstore.errors import UsageError
from actstore.intake.parts import Keys
from actstore.intake.rows import ImportedRows
from actstore.leaving import if_stopped
from actstore.store.format.layout import LARGE_OBJECTS
from actstore.store.read.place import check_new_place
from actstore.store.write.freeze import has_sequences
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen_if_any
from actstore.store.write.imported import ImportFacts
from actstore.view.care_reports import RepairReport
from actstore.view.reports import ExtractReport, ImportReport, kept_rows
from actstore.workflows.care.again import PlannedRows
from actstore.workflows.care.repair import repair_from
from actstore.workflows.extraction.deadline import Interrupted, Stop
from actstore.workflows.extraction.executors import Executor, SerialExecutor
from actstore.workflows.extraction.missing_tasks import do_missing_tasks, stopped_early
from actstore.workflows.extraction.plan import ExtractionPlan, begin_or_continue
from actstore.workflows.extraction.resolve import Resolution, RowOrigin, spool_folder
from actstore.workflows.extraction.runner import TaskRunner
from actstore.workflows.extraction.shares import Share
from actstore.workflows.extraction.sizes import check_room
from actstore.workflows.importing.sources import ImportOptions, NamedPlace, OpenedSources, opened_sources, parse_places
from actstore.workflows.recipes import merge_options, parse_recipe

__all__ = ["import_store", "repair_imported"]

_UNIT_ROWS: Final = 1024
"""Longer sequences are cut, so that their rows are shuffled in pieces of this size."""
_OPEN: Final = ("store", "rows", "splits", "seed")
"""Parts of a recipe that are for the user to say; the others are what the files say."""
_TOLD: Final = frozenset({"model.license", "model.citation", "corpus.license", "corpus.citation"})
"""Fields of the other parts that are for the user to say, too."""


@with_keyword_hints
def import_store(
    sources: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    store: str,
    *,
    format: str | None = None,  # noqa: A002 - as on the command line
    sequences: str | None = None,
    model: str | None = None,
    keys: Keys = "auto",
    recipe_options: Mapping[str, Any] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    share: Share | None = None,
    stop: Stop | None = None,
) -> ImportReport:
    """Make a store of activations that were written by another program; continue one that was begun so.

    Rows are shuffled, encoded and committed as in an extraction. What the files do not say is recorded as unknown.

    Parameters
    ----------
    sources
        Local folder or file; or several with the same rows, each a site: ``{"resid_post.3": "acts/layer_3", ...}``.
    store
        Path or URL of the store.
    format
        One of `intake.formats.FORMATS`; None to recognise it.
    sequences
        FASTA or Parquet file with the residues: of the ids in the files, or of all their rows in their order.
    model
        Name of the model, if you know it; it is recorded as you say it.
    keys
        What the names of several arrays in one file are: `sites`, `ids` of sequences, or `auto`.
    recipe_options
        Fields of a recipe by dotted key, of its tables `store`, `rows` and `splits`, and `seed`.
    storage_options
        Passed to fsspec.
    progress
        Where to report.
    share
        Which tasks to do; None for all.
    stop
        When to stop before the end.

    Raises
    ------
    SourceError, CorpusError
        If the files cannot be used.
    RecipeChangedError
        If the store there was made from other files, or with another recipe.
    RecipeError, UsageError, NumericsError, StoreError
        As `extract_store`.
    """
    objects = open_objects(store, storage_options)
    given = _Given(parse_places(sources), ImportOptions(format, sequences, model, keys), storage_options)
    recipe = _recipe(given.places, recipe_options or {})
    with if_stopped(lambda: f"{printable(objects.uri)}: tasks with a commit are kept; the same command continues"):
        sweep_scratch()
        return _import(objects, recipe, given, progress or Silent(), share, stop or Stop())


class _Given(NamedTuple):
    """Sources as they were named."""

    places: list[NamedPlace]
    options: ImportOptions
    storage_options: Mapping[str, Any] | None


def _import(
    objects: ObjectStore, recipe: Recipe, given: _Given, progress: Progress, share: Share | None, stop: Stop
) -> ImportReport:
    with spool_folder() as scratch, ExitStack() as stack:
        try:
            with stop.interruptible():
                check_new_place(objects)
                objects.sweep(large=LARGE_OBJECTS)
                opened = stack.enter_context(_opened(given, scratch, progress))
                resolved = _resolution(objects, recipe, opened, given, scratch, progress)
                plan = begin_or_continue(objects, resolved)
        except Interrupted:
            return _report(None, stopped_early(objects, stop))
        return _report(opened, _do_tasks(objects, plan, resolved, progress, share, stop))


def _opened(given: _Given, scratch: Path, progress: Progress) -> AbstractContextManager[OpenedSources]:
    return opened_sources(
        given.places, given.options, scratch=scratch, storage_options=given.storage_options, progress=progress
    )


@with_keyword_hints
def repair_imported(
    sources: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    store: str,
    *,
    format: str | None = None,  # noqa: A002 - as on the command line
    sequences: str | None = None,
    model: str | None = None,
    keys: Keys = "auto",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Find damage in an imported store and repair it; damaged tasks are written again from the files.

    Arguments are those of `import_store`; the recipe is that of the store. See `repair_store` for what is repaired.

    Raises
    ------
    RecipeChangedError
        If the store was not made from these files.
    SourceError, UsageError, StoreError
        As `import_store` and `repair_store`.
    """
    objects, said_to = open_objects(store, storage_options), progress or Silent()
    given = _Given(parse_places(sources), ImportOptions(format, sequences, model, keys), storage_options)

    @contextmanager
    def rows_of(frozen: FrozenRecipe) -> Iterator[PlannedRows]:
        with spool_folder() as scratch, _opened(given, scratch, said_to) as opened:
            resolved = _resolution(objects, frozen.recipe, opened, given, scratch, said_to)
            plan = begin_or_continue(objects, resolved)
            yield PlannedRows(plan.tasks, resolved.origin.rows_in(resolved.order_N))

    with if_stopped(lambda: f"{printable(objects.uri)}: what is repaired stays good; the same command continues"):
        return repair_from(rows_of, objects, progress=said_to)


def _recipe(places: Sequence[NamedPlace], options: Mapping[str, Any]) -> Recipe:
    """Return the recipe of an import: what the user says of the store, and nothing of a model."""
    given = {name: value for name, value in options.items() if value is not None}
    if wrong := [name for name in given if name.partition(".")[0] not in _OPEN and name not in _TOLD]:
        raise UsageError(
            f"{', '.join(wrong)} cannot be set for an import; {', '.join(_OPEN)} can, such as store.encoding"
        )
    document = {
        "model": {"name": UNKNOWN_MODEL},
        "corpus": {
            "sequences": [str(named.place) for named in places],
            "window_residues": _UNIT_ROWS,
            "window_overlap": 0,
        },
    }
    return parse_recipe(merge_options(document, given), name="the options")


def _resolution(
    objects: ObjectStore,
    recipe: Recipe,
    opened: OpenedSources,
    given: _Given,
    scratch: Path,
    progress: Progress,
) -> Resolution:
    """Return what an extraction would resolve, with files in place of the model."""
    source = opened.source
    sites = tuple(Site(name, UNKNOWN_MODEL, array.shape[1]) for name, array in source.arrays.items())
    facts = ModelFacts(
        name=opened.model,
        revision=None,
        architecture=UNKNOWN_MODEL,
        weights_sha256=UNKNOWN_MODEL,
        dtype=UNKNOWN_MODEL,
        parameters=0,
    )

    def rows_in(order_N: NDArray[np.int64] | None) -> ImportedRows:
        return ImportedRows(source, sites, order_N)

    imported = ImportFacts(format=opened.format, digest=opened.digest, known=opened.known)
    asked = recipe.model_copy(update={"sites": tuple(site.name for site in sites)})
    needs_sequences = load_frozen_if_any(objects) is None or not has_sequences(objects)
    origin = RowOrigin(facts, sites, rows_in, imported)
    return Resolution(
        asked, origin, source, given.storage_options, scratch, needs_sequences=needs_sequences, progress=progress
    )


def _do_tasks(
    objects: ObjectStore,
    plan: ExtractionPlan,
    resolved: Resolution,
    progress: Progress,
    share: Share | None,
    stop: Stop,
) -> ExtractReport:
    @contextmanager
    def executor(tasks_done: int) -> Iterator[Executor]:
        check_room(objects, plan.frozen, tasks_done=tasks_done)
        with TaskRunner(plan, resolved.origin.rows_in(resolved.order_N), objects) as runner:
            yield SerialExecutor(runner, objects)

    return do_missing_tasks(
        objects, plan.frozen, executor, progress=progress, share=share, stop=stop, title="importing", kept=kept_rows
    )


def _report(opened: OpenedSources | None, done: ExtractReport) -> ImportReport:
    if opened is None:
        return ImportReport("", {}, 0, (), (), (), done)
    return ImportReport(
        format=opened.format,
        sites={site: array.shape[1] for site, array in opened.source.arrays.items()},
        sequences=len(opened.source),
        known=opened.known,
        unknown=tuple(what for what in KNOWABLE if what not in opened.known),
        said=opened.said,
        store=done,
    )
