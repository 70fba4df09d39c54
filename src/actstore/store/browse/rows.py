"""Rows that were read, and what they are rows of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.contracts.planes import Float32s
from actstore.errors import UsageError

__all__ = ["Choice", "ProteinRows", "Rows", "chosen_positions"]

Choice: TypeAlias = int | slice | Sequence[int] | NDArray[np.int64]
"""Numbers of rows, or positions of residues."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Activations with their residues. N is the number of rows, S of sites, D of features."""

    values_NSD: Float32s
    """Decoded activations, float32 [N, S, D]."""
    sites: tuple[str, ...]
    """Names of the sites, in the order of axis S."""
    row_N: NDArray[np.int64]
    """Numbers of the rows in the store."""
    sequence_N: NDArray[np.int64]
    """Row of each sequence in `Store.sequences`."""
    position_N: NDArray[np.int32]
    """Place of each residue in its sequence, counted from 0."""
    letters_of: Callable[[NDArray[np.int64], NDArray[np.int32]], tuple[list[str], str]] = field(repr=False)
    """Reads ids and residues."""

    def __len__(self) -> int:
        return len(self.row_N)

    def __repr__(self) -> str:
        return f"<Rows: {len(self):,} rows at {', '.join(self.sites)}, float32 {self.values_NSD.shape}>"

    @property
    def values_ND(self) -> Float32s:
        """The activations at the only site, [N, D]: a view.

        Raises
        ------
        UsageError
            If there are several sites.
        """
        if len(self.sites) != 1:
            raise UsageError(f"these rows have {len(self.sites)} sites; take one of them from values_NSD")
        return self.values_NSD[:, 0]

    @cached_property
    def ids(self) -> list[str]:
        """Id of the sequence of each row; read when it is first asked for."""
        return self._letters[0]

    @property
    def residues(self) -> str:
        """The residue of each row, one letter each; read when it is first asked for."""
        return self._letters[1]

    def table(self) -> pa.Table:
        """Return a table: `row`, `id`, `position` (counted from 0), `residue`, and a list of D floats for each site."""
        columns: dict[str, Any] = {
            "row": self.row_N,
            "id": self.ids,
            "position": self.position_N,
            "residue": list(self.residues),
        }
        for slot, site in enumerate(self.sites):
            values = pa.array(np.ascontiguousarray(self.values_NSD[:, slot]).reshape(-1))
            columns[site] = pa.FixedSizeListArray.from_arrays(values, self.values_NSD.shape[2])
        return pa.table(columns)

    @cached_property
    def _letters(self) -> tuple[list[str], str]:
        return self.letters_of(self.sequence_N, self.position_N)


@dataclass(frozen=True, eq=False, repr=False)
class ProteinRows(Rows):
    """The rows of one protein, in the order of its residues."""

    id: str = ""
    """Id of the protein."""
    protein: str = ""
    """All its residues."""

    def __repr__(self) -> str:
        return (
            f"<ProteinRows {self.id}: {len(self):,} of {len(self.protein):,} residues at {', '.join(self.sites)}, "
            f"float32 {self.values_NSD.shape}>"
        )

    @property
    def kept_L(self) -> NDArray[np.bool_]:
        """Which residues of the whole protein have a row here: bool [length of the protein]."""
        kept_L = np.zeros(len(self.protein), dtype=bool)
        kept_L[self.position_N] = True
        return kept_L


def chosen_positions(positions: Choice, name: str, length: int) -> NDArray[np.int64]:
    """Return positions in a protein, counted from 0.

    Raises
    ------
    UsageError
        If one of them is outside.
    """
    if isinstance(positions, slice):
        return np.arange(*positions.indices(length))
    asked = np.atleast_1d(np.asarray(positions))
    if asked.size and asked.dtype.kind not in "iu":
        raise UsageError(f"positions are whole numbers from 0, not {asked.dtype}")
    if asked.size and not (asked.min() >= 0 and asked.max() < length):
        outside = asked[(asked < 0) | (asked >= length)][0]
        raise UsageError(f"{printable(name)} has {length:,} residues, counted from 0, and none at {outside:,}")
    return asked.astype(np.int64)
