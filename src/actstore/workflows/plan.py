"""Plan: rows, tasks, objects and bytes of a recipe before anything is run; only lengths are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import Recipe
from actstore.corpus.scan import scan
from actstore.corpus.tokenizer import known_alphabet, load_tokenizer
from actstore.extract.known import known_sites
from actstore.extract.model import load_model
from actstore.store.plan import plan_tasks
from actstore.view.reports import PlanReport, report_plan
from actstore.workflows.prepare import table_of

__all__ = ["plan_store"]


def plan_store(
    recipe: Recipe, *, storage_options: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> PlanReport:
    """Work out what a recipe will come to.

    The sequences are read once for their lengths and letters. The public ESM-2 and ProtT5 models are known by name;
    any other is loaded, since only the model knows the widths of its sites.

    Raises
    ------
    CorpusError, ModelError, SiteError
        Whatever `extract` would stop at before its first forward pass.
    """
    sites = known_sites(recipe.model.name, recipe.sites) or load_model(recipe.model, recipe.sites).sites
    alphabet = known_alphabet(recipe.model.name) or load_tokenizer(recipe.model).alphabet
    with scan(
        recipe.corpus,
        alphabet=alphabet,
        spool=None,
        storage_options=storage_options,
        progress=progress or Silent(),
    ) as corpus:
        table = table_of(corpus, recipe, storage_options=storage_options)
        return report_plan(
            plan_tasks(table, recipe), sites, residues=corpus.total_residues, skipped=dict(corpus.skipped)
        )
