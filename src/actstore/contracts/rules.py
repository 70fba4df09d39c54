"""Rules of a recipe for its parts: which residues become rows of which task, and how sites are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CalibrationRules", "RowRules"]


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


@dataclass(frozen=True, slots=True)
class CalibrationRules:
    """The rules that decide the centre and scale of each channel; from `Recipe.calibration_rules`."""

    seed: int
    sequences: int
    """Sequences of the sample."""
    window_residues: int
    """Residues of a sequence that count, from its start."""
    encoding: str
