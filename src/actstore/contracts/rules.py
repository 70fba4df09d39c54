"""Rules that decide which residues become rows, and how rows are divided into tasks: numbers, defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RowRules"]


@dataclass(frozen=True, slots=True)
class RowRules:
    """The rules that decide the plan of the rows, together with the sequences; from `Recipe.row_rules`."""

    seed: int
    fraction: float = 1.0
    """Share of the residues of each sequence."""
    max_per_sequence: int | None = None
    """Most rows of one sequence; None for no limit."""
    window_residues: int = 1022
    """Most residues that the model sees at once."""
    window_overlap: int = 256
    """Fewest residues that neighbouring windows share."""
    task_rows: int = 16384
    """Rows of a task; the last task of a split has fewer."""
