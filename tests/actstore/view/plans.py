"""A plan to look at, made without files."""

from typing import Any

from actstore.budget.assumptions import Assumptions
from actstore.contracts.recipe import Recipe
from actstore.view.plan_report import PlanReport
from actstore.workflows.plan import plan_store

__all__ = ["prott5_plan"]


def prott5_plan(assumptions: Assumptions | None = None, **store: Any) -> PlanReport:
    """Return the plan of ProtT5-XL over a million sequences, 512 M rows."""
    return plan_store(
        Recipe.model_validate(
            {
                "model": {"name": "Rostlab/prot_t5_xl_uniref50", "dtype": "bfloat16"},
                "corpus": {"expected_sequences": 1_000_000, "expected_lengths": 512, "window_residues": 512},
                "store": {"task_rows": 8192, **store},
                "splits": {"fractions": {"train": 0.98, "a_split_with_a_long_name" * 3: 0.02}},
            }
        ),
        assumptions=assumptions,
    )
