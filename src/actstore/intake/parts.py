"""What a format gives: parts, which are rows that lie together in the files, and the sequences that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.errors import SourceError

__all__ = [
    "ACTIVATIONS",
    "Boundaries",
    "Concatenated",
    "Keys",
    "Mapped",
    "Opened",
    "Opening",
    "Part",
    "RowArray",
    "masked",
]

ACTIVATIONS: Final = "activations"
"""Name of the only site of files that name none."""

Keys = Literal["auto", "sites", "ids"]
"""What the names of several arrays in one file are."""


class RowArray(Protocol):
    """Rows of one site, read when they are asked for; safe in several threads."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        ...

    def read(self, start: int, stop: int) -> Float32s:
        """Return the rows from `start` to before `stop`: float32 [stop - start, D]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """S sequences of a part."""

    start_S: NDArray[np.int64]
    """First row of each, in the part."""
    length_S: NDArray[np.int64]
    """Rows of each, from the first residue on."""
    ids: Sequence[str] | None = None
    """None if they have no names."""
    residues: Sequence[str] | None = None
    """None if their residues are not in the files."""

    @classmethod
    def of_lengths(cls, length_S: NDArray[np.int64], ids: Sequence[str] | None = None) -> Boundaries:
        """Return the boundaries of sequences that follow each other without a gap."""
        return cls(np.cumsum(length_S) - length_S, length_S, ids)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows that lie together, such as those of one file."""

    name: str
    """Place in the folder, for ids and messages."""
    arrays: Mapping[str, RowArray]
    """By site; all have the same rows."""
    boundaries: Boundaries | None
    """None for rows of which nobody knows where a sequence ends."""
    tokens: Callable[[int, int], NDArray[np.int64]] | None = None
    """Returns the tokens of some rows, as `RowArray.read`; None if they are unknown."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return next(iter(self.arrays.values())).shape[0]

    @property
    def widths(self) -> dict[str, int]:
        """Features of each site."""
        return {site: array.shape[1] for site, array in self.arrays.items()}


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open files."""

    keys: Keys = "auto"
    """What the names of several arrays in one file are."""
    scratch: Path | None = None
    """Temporary folder, for formats whose rows cannot be read in any order."""


@dataclass(slots=True, eq=False)
class Opened:
    """A folder of one format."""

    parts: list[Part]
    files: list[Path]
    """All files that decide what the parts hold."""
    model: str | None = None
    """Name of the model, if a file says it."""
    shuffled: bool = False
    """Whether rows were shuffled when they were written, each site by itself."""
    said: list[str] = field(default_factory=list)
    """What was guessed, or left out."""

    def say(self, what: str) -> None:
        """Add something to `said`, once."""
        if what and what not in self.said:
            self.said.append(what)


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """An array [N, D] that is in memory, or mapped into it; a `RowArray`."""

    values_ND: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return self.values_ND.shape[0], self.values_ND.shape[1]

    def read(self, start: int, stop: int) -> Float32s:
        """Return some rows, as `RowArray.read`."""
        return self.values_ND[start:stop].astype(np.float32)


class Concatenated:
    """Arrays of the same features, one below the other; a `RowArray`."""

    def __init__(self, arrays: Sequence[RowArray]) -> None:
        self._arrays = arrays
        self._width = arrays[0].shape[1]
        self.length_A = np.array([array.shape[0] for array in arrays], dtype=np.int64)
        self._end_A = np.cumsum(self.length_A)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return int(self._end_A[-1]), self._width

    def read(self, start: int, stop: int) -> Float32s:
        """Return some rows, as `RowArray.read`."""
        values_ND = np.empty((stop - start, self._width), dtype=np.float32)
        done = start
        while done < stop:
            index = int(np.searchsorted(self._end_A, done, side="right"))
            begin, end = int(self._end_A[index] - self.length_A[index]), min(int(self._end_A[index]), stop)
            values_ND[done - start : end - start] = self._arrays[index].read(done - begin, end - begin)
            done = end
        return values_ND


def masked(mask_BT: NDArray[np.generic], name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first row and length of each sequence of a batch, of a mask that is not zero where there is a residue.

    Raises
    ------
    SourceError
        If the residues of a sequence do not lie together.
    """
    inside_BT = mask_BT != 0
    length_B = inside_BT.sum(axis=1).astype(np.int64)
    first_B = inside_BT.argmax(axis=1).astype(np.int64)
    last_B = inside_BT.shape[1] - inside_BT[:, ::-1].argmax(axis=1)
    if bad := np.flatnonzero((length_B > 0) & (last_B - first_B != length_B)).tolist():
        raise SourceError(f"{name}: the mask of sequence {bad[0]} has a gap; residues of a sequence must lie together")
    return first_B + np.arange(len(first_B), dtype=np.int64) * inside_BT.shape[1], length_B
