"""Refuse a run whose batches hold no neighbouring residues, though its objective is about them."""

from __future__ import annotations

from actstore import Manifest, errors
from trainers.fit.plan import TrainPlan
from trainers.fit.terms.smoothness import expected_pairs, rows_for_pairs

__all__ = ["check_neighbours"]


def check_neighbours(plan: TrainPlan, manifest: Manifest) -> None:
    """Refuse temporal smoothness where a batch holds less than one pair of neighbours on average.

    A store permutes its rows when they are written, and a stream mixes them again, so neighbours meet in a batch by
    chance: B (B - 1) / (N - 1) of N rows, less where not every residue has a row.

    Raises
    ------
    UsageError
        If there are too few pairs, with the batch that would hold enough; or positions of residues are not known.
    """
    if not plan.smoothness_weight:
        return
    facts, rows = manifest.frozen, manifest.splits[plan.split].rows
    if facts.imported is not None and "positions" not in facts.imported.known:
        raise errors.UsageError(
            "--smoothness-weight: this store was imported from files that do not say which residue a row is of, so no "
            "neighbours are known; import files with boundaries of sequences, or extract the store"
        )
    kept = facts.recipe.rows.fraction
    pairs = kept * expected_pairs(rows=rows, batch_rows=plan.batch_rows)
    if pairs < 1.0:
        enough = rows_for_pairs(rows=rows, pairs=1.0 / kept)
        of_all = "" if kept == 1.0 else f" The store keeps {kept:g} of the residues: with rows.fraction = 1 more meet."
        raise errors.UsageError(
            f"--smoothness-weight: rows of a store are shuffled, so a batch of {plan.batch_rows:,} of {rows:,} rows "
            f"holds {pairs:.2g} pairs of neighbouring residues on average, and the term needs at least 1; give "
            f"--batch-rows {enough} or more, or train on a smaller split.{of_all}"
        )
