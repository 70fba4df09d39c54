"""What is expected of the forward passes is what the tasks of a plan then run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.corpus.batches import plan_batches
from actstore.corpus.lengths import LengthCounts
from actstore.store.plan.passes import Passes, model_passes
from actstore.store.plan.tasks import plan_tasks

SPECIAL = 2
RecipeOf = Callable[..., Recipe]


def recipe(**changes: Any) -> Recipe:
    document: dict[str, Any] = {
        "model": {"name": "m", "tokens_per_batch": 4096},
        "corpus": {"sequences": "a", "window_residues": 256, "window_overlap": 64},
        "store": {"task_rows": 1024, "chunk_rows": 64},
        "splits": {"fractions": {"train": 1.0}},
    }
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        document.setdefault(section, {})[key] = value
    return Recipe.model_validate(document)


def passes_of(lengths: LengthCounts, asked: Recipe) -> Passes:
    return model_passes(lengths, asked.row_rules, tokens_per_batch=asked.model.tokens_per_batch, special_tokens=SPECIAL)


def table(lengths: list[int]) -> SequenceTable:
    ids = np.arange(len(lengths), dtype=np.uint64)
    return SequenceTable(ids, np.array(lengths, np.int32), np.zeros(len(lengths), np.int8), ("train",))


def really_run(sequences: SequenceTable, asked: Recipe) -> tuple[int, int, int]:
    """Return residues, padded tokens and padded squares of all tasks of a plan."""
    plan = plan_tasks(sequences, asked.row_rules)
    residues = area = squares = 0
    for index in range(plan.tasks):
        token_P = np.array([piece.stop - piece.start + SPECIAL for piece in plan.task(index).pieces])
        residues += int((token_P - SPECIAL).sum())
        for batch in plan_batches(token_P, tokens_per_batch=asked.model.tokens_per_batch):
            area += len(batch) * int(token_P[batch].max())
            squares += len(batch) * int(token_P[batch].max()) ** 2
    return residues, area, squares


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rows.fraction": 0.1},
        {"rows.fraction": 0.02},
        {"rows.fraction": 0.5, "rows.max_per_sequence": 16},
    ],
)
def test_it_is_what_the_tasks_run(changes: dict[str, Any]) -> None:
    asked = recipe(**changes)
    sequences = table((np.random.default_rng(0).lognormal(5.2, 0.5, 8000).astype(int) + 20).tolist())
    passes = passes_of(LengthCounts.of(sequences.length_N), asked)
    residues, area, squares = really_run(sequences, asked)
    assert passes.run_residues == pytest.approx(residues, rel=0.05)
    assert passes.run_tokens == pytest.approx(area, rel=0.05)
    assert passes.run_token_pairs == pytest.approx(squares, rel=0.08)


def test_windows_that_end_with_the_task_are_not_run_twice() -> None:
    sequences = table([256] * 400)
    passes = passes_of(LengthCounts.of(sequences.length_N), recipe())
    assert (passes.repeated, passes.padding, passes.pair_padding) == (1.0, 1.0, 1.0)
    residues, area, squares = really_run(sequences, recipe())
    assert (passes.run_residues, passes.run_tokens, passes.run_token_pairs) == (residues, area, squares)


def test_overlaps_are_run_twice() -> None:
    passes = passes_of(LengthCounts.of(np.full(50, 448, np.int32)), recipe())
    assert passes.windows == 100
    assert passes.residues == 50 * 2 * 256


def test_a_sequence_without_a_row_is_not_run() -> None:
    lengths = LengthCounts.of(np.full(1000, 50, np.int32))
    passes = passes_of(lengths, recipe(**{"rows.fraction": 0.002}))
    assert passes.windows == pytest.approx(100)


@pytest.mark.parametrize(("fraction", "task_rows"), [(1e-7, 1024), (1.0, 1 << 24), (0.004, 1 << 24)])
def test_rare_rows_and_huge_tasks_take_no_longer(fraction: float, task_rows: int) -> None:
    lengths = LengthCounts(np.array([100, 250, 400]), np.array([10**9, 2 * 10**9, 10**9]))
    passes = passes_of(lengths, recipe(**{"rows.fraction": fraction, "store.task_rows": task_rows}))
    assert 1 <= passes.repeated < 1.1
    assert 1 <= passes.padding < 1.3


def test_a_handful_of_rows_is_no_difficulty() -> None:
    passes = passes_of(LengthCounts.of(np.array([30], np.int32)), recipe())
    assert (passes.windows, passes.run_tokens) == (1, 32)
