"""What files of activations may leave open, and how a store says that it is unknown."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["KNOWABLE", "UNKNOWN_MODEL", "UNKNOWN_RESIDUE", "UNKNOWN_TOKEN", "Knowable"]

Knowable = Literal["ids", "positions", "residues", "tokens", "model"]

KNOWABLE: Final[tuple[Knowable, ...]] = get_args(Knowable)
"""In the order in which they are listed."""
UNKNOWN_TOKEN: Final = -1
"""`rows/token` of every row of a store whose tokens are unknown."""
UNKNOWN_RESIDUE: Final = "X"
"""Residue of every row of a store whose residues are unknown: the letter of IUPAC for an unknown amino acid."""
UNKNOWN_MODEL: Final = "unknown"
"""Stands for every fact of an unknown model."""
