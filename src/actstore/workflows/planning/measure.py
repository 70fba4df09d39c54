"""Read or load what a plan needs: files of sequences, and models that are not known by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.corpus.lengths import LengthCounts
from actstore.corpus.scan import scan
from actstore.corpus.splits import split_corpus
from actstore.corpus.tokenizer import known_alphabet, load_tokenizer
from actstore.extract.model import load_model
from actstore.extract.residues import kept_counts
from actstore.extract.shape import network_shape
from actstore.workflows.planning.inputs import ModelSizes, PlannedCorpus

__all__ = ["load_sizes", "read_lengths"]


def load_sizes(recipe: Recipe) -> ModelSizes:
    """Load a model to learn its sizes.

    Raises
    ------
    ModelError, SiteError
        The errors that would stop `extract`.
    """
    model = load_model(recipe.model, recipe.sites)
    shape = network_shape(model.network, model.blocks)
    reason = None if shape else f"{recipe.model.name} has no list of blocks that is known; give --measured-rate"
    return ModelSizes(model.sites, shape, model.tokenizer.special_tokens, reason)


def read_lengths(recipe: Recipe, *, storage_options: Mapping[str, Any] | None, progress: Progress) -> PlannedCorpus:
    """Read the sequences once for their lengths, letters and splits; the rows are those of the extraction.

    Raises
    ------
    CorpusError
        The errors that would stop `extract`.
    """
    alphabet = known_alphabet(recipe.model.name) or load_tokenizer(recipe.model).alphabet
    with scan(
        recipe.corpus, alphabet=alphabet, spool=None, storage_options=storage_options, progress=progress
    ) as corpus:
        table = split_corpus(corpus, recipe.splits, seed=recipe.seed, storage_options=storage_options)
        kept_N = kept_counts(table.id_hash_N, table.length_N, recipe.row_rules)
        splits = {
            name: (int((table.split_N == index).sum()), int(kept_N[table.split_N == index].sum(dtype=np.int64)))
            for index, name in enumerate(table.splits)
        }
        return PlannedCorpus(LengthCounts.of(table.length_N), dict(corpus.skipped), splits, expected=False)
