"""Plan: estimate size, time and cost of a recipe before it runs; only lengths are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actstore.budget.assumptions import Assumptions
from actstore.budget.prices import Prices, parse_prices
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import hint_for_key, with_keyword_hints
from actstore.corpus.lengths import expected_corpus
from actstore.errors import CorpusError, UsageError
from actstore.extract.known_models import known_model, known_sites
from actstore.extract.residues import expected_counts
from actstore.view.pages.plan_page import plan_page
from actstore.view.plan_report import PlanReport
from actstore.workflows.extraction.sizes import choose_task_rows
from actstore.workflows.page_files import write_page_file
from actstore.workflows.planning.budget import plan_budget
from actstore.workflows.planning.inputs import ModelSizes, PlannedCorpus, apportion

__all__ = ["NATURAL_LENGTHS", "expect_rows", "plan_store", "read_prices", "write_plan_page"]

NATURAL_LENGTHS: Final = (30, 72, 101, 132, 165, 199, 238, 284, 345, 438, 2000)
"""Deciles of the lengths of UniRef50, without a few giants; an assumption."""
_SAMPLE_SEQUENCES: Final = 1_000_000
_MOST_SEQUENCES: Final = 100_000_000_000


@with_keyword_hints
def plan_store(
    recipe: Recipe,
    *,
    assumptions: Assumptions | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> PlanReport:
    """Estimate a recipe: rows, objects, bytes, requests, FLOPs, hours, dollars and the break-even.

    The sequences are read once for their lengths and letters; if the recipe only expects them, nothing is read. The
    public models of the table in `extract.known_models` are known by name. Any other model is loaded, since only the
    model has the widths of its sites.

    Parameters
    ----------
    recipe
        What would be extracted.
    assumptions
        Trainer, GPU and prices; None for the defaults, which the report states.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    CorpusError, ModelError, SiteError
        The errors that would stop `extract` before its first forward pass.
    UsageError
        If the trainer does not fit the sites.
    """
    recipe.refuse_credentials()
    model = _known_sizes(recipe) or _loaded_sizes(recipe)
    if recipe.corpus.is_expected:
        corpus = _expected(recipe)
    else:
        from actstore.workflows.planning.measure import read_lengths  # noqa: PLC0415 - loads torch and pyarrow

        corpus = read_lengths(recipe, storage_options=storage_options, progress=progress or Silent())
    if not sum(rows for _, rows in corpus.splits.values()):
        raise CorpusError(
            f"no rows: of {corpus.lengths.sequences:,} sequences no residue is kept; "
            "raise rows.fraction or add sequences"
        )
    recipe = choose_task_rows(recipe, model.sites, residues=corpus.lengths.residues)
    return plan_budget(recipe, corpus, model, assumptions or Assumptions())


def expect_rows(recipe: Recipe, rows: int) -> Recipe:
    """Return a recipe that expects as many sequences as give a number of rows, in place of its own corpus.

    Lengths are those that the recipe expects, else those of UniRef50 as the recipes in `manifests/` have them.

    Raises
    ------
    UsageError
        If there are no such rows, or too many.
    """
    lengths = recipe.corpus.expected_lengths or NATURAL_LENGTHS
    corpus = recipe.corpus.model_copy(
        update={"sequences": (), "expected_sequences": _SAMPLE_SEQUENCES, "expected_lengths": lengths}
    )
    sample = recipe.model_copy(update={"corpus": corpus})
    found = sum(rows for _, rows in _expected(sample).splits.values())
    sequences = -(-rows * _SAMPLE_SEQUENCES // found) if found else 0
    if not 1 <= sequences <= _MOST_SEQUENCES:
        raise UsageError(f"--rows {rows:,}: not a number of rows that a store could have; give such as 500M or 2.5G")
    return recipe.model_copy(update={"corpus": corpus.model_copy(update={"expected_sequences": sequences})})


def read_prices(path: str | Path) -> Prices:
    """Read a price list.

    Raises
    ------
    UsageError
        If it cannot be read or is invalid; the message names every wrong field.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_prices(text, name=str(path), hint=hint_for_key)


def write_plan_page(report: PlanReport, path: str | Path) -> None:
    """Write a plan as one self-contained HTML file, which is replaced if it exists.

    Raises
    ------
    UsageError
        If it cannot be written, or lies in a store.
    """
    write_page_file(Path(path), plan_page(report))


def _known_sizes(recipe: Recipe) -> ModelSizes | None:
    known, sites = known_model(recipe.model.name), known_sites(recipe.model.name, recipe.sites)
    return ModelSizes(sites, known.shape, known.special_tokens) if known and sites else None


def _loaded_sizes(recipe: Recipe) -> ModelSizes:
    from actstore.workflows.planning.measure import load_sizes  # noqa: PLC0415 - loads torch and transformers

    return load_sizes(recipe)


def _expected(recipe: Recipe) -> PlannedCorpus:
    """Return the corpus that the recipe expects, with the mean number of rows over all draws."""
    expected = expected_corpus(recipe.corpus)
    lengths = expected.lengths
    if not lengths.sequences:
        raise CorpusError("no sequence of the expected lengths is left; check the length bounds of the recipe")
    rows = round(float((lengths.count_L * expected_counts(lengths.length_L, recipe.row_rules)).sum()))
    shares = list(recipe.splits.fractions.values())
    parts = zip(apportion(lengths.sequences, shares), apportion(rows, shares), strict=True)
    return PlannedCorpus(
        lengths, expected.skipped, dict(zip(recipe.splits.fractions, parts, strict=True)), expected=True
    )
