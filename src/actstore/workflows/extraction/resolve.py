"""Resolve a recipe with its corpus and model: compute each part once, when it is first needed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.scratch import scratch_folder
from actstore.contracts.models import ActivationModel, ModelFacts, Site
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceCollection, SequenceTable
from actstore.contracts.tasks import RowSource
from actstore.corpus.scan import scan
from actstore.corpus.splits import split_corpus
from actstore.errors import RecipeError, StoreError
from actstore.extract.task import ModelRows
from actstore.store.format.layout import SEQUENCES, StoreLayout
from actstore.store.format.limits import layout_problem, sites_problem
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order
from actstore.store.write.facts import CalibrationFacts, CorpusFacts, SplitFacts
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.imported import ImportFacts
from actstore.store.write.sequences import write_sequences
from actstore.workflows.extraction.calibrate import calibrate_sites
from actstore.workflows.extraction.compress import PlanOrder, choose_compressor
from actstore.workflows.extraction.sizes import choose_task_rows
from actstore.workflows.extraction.taken_calibration import taken_calibration

__all__ = ["Resolution", "RowOrigin", "SequenceFile", "resolving", "spool_folder"]

_RECORDED: Final = ("actstore", "torch", "transformers", "numpy", "zarr", "numcodecs", "pyarrow")
_NO_DIGEST: Final = "0" * 64
"""Stands for the digest of sequences that the store has already."""


@contextmanager
def resolving(
    recipe: Recipe,
    model: ActivationModel,
    *,
    needs_sequences: bool,
    storage_options: Mapping[str, Any] | None,
    progress: Progress,
) -> Iterator[Resolution]:
    """Read the corpus of a recipe, and keep it while the recipe is being resolved.

    Parameters
    ----------
    recipe, model
        What to resolve.
    needs_sequences
        Whether residues are needed: for the model, or for the store.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    CorpusError
        If the sequences cannot be used.
    StoreError
        If there is no temporary folder for them.
    """
    recipe.refuse_credentials()
    with (
        spool_folder() as folder,
        scan(
            recipe.corpus,
            alphabet=model.tokenizer.alphabet,
            spool=folder if needs_sequences else None,
            storage_options=storage_options,
            progress=progress,
        ) as corpus,
    ):
        tokens_per_batch = recipe.model.tokens_per_batch

        def rows_in(order_N: NDArray[np.int64] | None) -> ModelRows:
            return ModelRows(corpus if order_N is None else PlanOrder(corpus, order_N), model, tokens_per_batch)

        yield Resolution(
            recipe,
            RowOrigin(model.facts, model.sites, rows_in),
            corpus,
            storage_options,
            folder,
            needs_sequences=needs_sequences,
            progress=progress,
        )


@dataclass(frozen=True, slots=True, eq=False)
class RowOrigin:
    """Where rows come from: a model that computes them, or files or a store that have them."""

    facts: ModelFacts
    """Of the model, as far as it is known."""
    sites: tuple[Site, ...]
    """In stored order."""
    rows_in: Callable[[NDArray[np.int64] | None], RowSource]
    """Returns the source of rows for a numbering of the sequences: place in the corpus of each; None for its order."""
    imported: ImportFacts | None = None
    """Recorded facts of files that have them."""
    table: SequenceTable | None = None
    """Lengths, splits and clusters of the corpus, in its order, if they are known; None to draw and read them."""
    calibration: dict[str, CalibrationFacts] | None = None
    """Centre and channel scale of every site, if they are known."""


class SequenceFile(NamedTuple):
    """A local file of sequences in the order of the store, and its SHA-256."""

    path: Path
    sha256: str


@dataclass(frozen=True, eq=False)
class Resolution:
    """A resolved recipe: sequences, sizes, rows, and everything that a store freezes."""

    recipe: Recipe
    """As it was written."""
    origin: RowOrigin
    corpus: SequenceCollection
    storage_options: Mapping[str, Any] | None = field(repr=False)
    folder: Path
    """Temporary."""
    needs_sequences: bool
    progress: Progress

    @cached_property
    def table(self) -> SequenceTable:
        """Lengths, hashed ids and splits, in the order of the corpus."""
        if self.origin.table is not None:
            return self.origin.table
        recipe = self.recipe
        return split_corpus(self.corpus, recipe.splits, seed=recipe.seed, storage_options=self.storage_options)

    @property
    def chooses_compressor(self) -> bool:
        """Whether the compressor is to be chosen by measurement."""
        return self.recipe.store.compressor == "auto"

    @cached_property
    def sized(self) -> Recipe:
        """The recipe with its rows per task, the path of a folder, and `none` for a compressor still to choose.

        It names sequences that came through a pipe by their digest.
        """
        corpus = self.recipe.corpus.model_copy(update={"sequences": self.corpus.recorded_sequences})
        model = self.recipe.model.model_copy(update={"name": self.origin.facts.name})
        recipe = self.recipe.model_copy(update={"corpus": corpus, "model": model})
        sized = choose_task_rows(recipe, self.origin.sites, residues=self.corpus.total_residues)
        if not self.chooses_compressor:
            return sized
        return sized.model_copy(update={"store": sized.store.model_copy(update={"compressor": "none"})})

    @cached_property
    def order_N(self) -> NDArray[np.int64]:
        """Place in the corpus of each sequence of the store."""
        return sequence_order(self.table, seed=self.recipe.seed)

    @cached_property
    def tasks(self) -> Plan:
        """Which residue is which row of which task."""
        return plan_tasks(self.table.take(self.order_N), self.sized.row_rules)

    @cached_property
    def sequences(self) -> SequenceFile:
        """The sequences as the store keeps them, written to the temporary folder.

        Raises
        ------
        StoreError
            If the folder has no room for them.
        """
        path, tasks = self.folder / SEQUENCES, self.tasks
        try:
            return SequenceFile(path, write_sequences(path, self.corpus, tasks.table, tasks.kept_N, self.order_N))
        except OSError as error:
            raise _no_room(self.folder, error) from error

    @cached_property
    def draft(self) -> FrozenRecipe:
        """What is frozen, except calibration and compressor: everything known without a single row.

        Raises
        ------
        RecipeError
            If sites or sizes of the recipe exceed what a store can hold.
        StoreError
            If the temporary folder has no room for the sequences.
        """
        tasks, origin, corpus = self.tasks, self.origin, self.corpus
        layout = StoreLayout.of(origin.sites, self.sized.store)
        if problem := sites_problem(origin.sites) or layout_problem(layout, tasks.tasks):
            raise RecipeError(f"the recipe cannot be laid out: {problem}")
        return FrozenRecipe(
            recipe=self.sized,
            corpus=CorpusFacts(
                digest=corpus.digest,
                sequences=len(corpus),
                residues=corpus.total_residues,
                skipped=dict(corpus.skipped),
            ),
            model=origin.facts,
            sites=origin.sites,
            imported=origin.imported,
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
            sequences_sha256=self.sequences.sha256 if self.needs_sequences else _NO_DIGEST,
            calibration=None,
            software={name: version(name) for name in _RECORDED},
        )

    @cached_property
    def frozen(self) -> FrozenRecipe:
        """Everything that is frozen: the draft with calibration and compressor, for which rows are needed.

        Raises
        ------
        ModelError, NumericsError
            If the model fails.
        """
        frozen = self.draft
        if frozen.quantizer.calibrated:
            frozen = frozen.model_copy(update={"calibration": self._calibration(frozen)})
        if self.chooses_compressor:
            rows = self.origin.rows_in(self.order_N)
            frozen = choose_compressor(frozen, self.tasks, rows, progress=self.progress)
        return frozen

    def _calibration(self, draft: FrozenRecipe) -> dict[str, CalibrationFacts]:
        if self.origin.calibration is not None:
            return self.origin.calibration
        if (place := self.recipe.store.calibration_of) is not None:
            facts, sites = self.origin.facts, self.origin.sites
            return taken_calibration(place, facts, sites, storage_options=self.storage_options)
        rows = self.origin.rows_in(None)
        return calibrate_sites(draft.calibration_rules, self.table, rows, progress=self.progress)


@contextmanager
def spool_folder() -> Iterator[Path]:
    """Yield a folder for files that are needed until the store is frozen.

    Raises
    ------
    StoreError
        If there is no temporary folder for them.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder("spool"))
        except OSError as error:
            raise _no_room(Path(tempfile.tempdir or "TMPDIR"), error) from error
        yield folder


def _no_room(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{folder}: cannot hold the sequences before they are stored: {error.strerror or error}; set TMPDIR to a "
        "folder with room for them"
    )
