"""The rows of one folder, laid end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.errors import SourceError
from actstore.intake.parts import Concatenated, Part, RowArray

__all__ = ["Side"]

_LARGEST_TOKEN: Final = 32_767
_TOKENS_AT_ONCE: Final = 1 << 20


class Side:
    """The rows of one folder, laid end to end.

    Parameters
    ----------
    parts
        In the order of their rows.
    rename
        Name for the only site; None for the name in the files.
    shuffled
        Whether its rows are in an order of their own.

    Raises
    ------
    SourceError
        If there are no rows, or the parts have different sites or features.
    """

    def __init__(self, parts: Sequence[Part], *, rename: str | None = None, shuffled: bool = False) -> None:
        if not parts:
            raise SourceError("no activations in the source")
        for part in parts[1:]:
            if part.widths != parts[0].widths:
                raise SourceError(
                    f"{printable(part.name)} has {_described(part)}, and {printable(parts[0].name)} "
                    f"{_described(parts[0])}; import them apart"
                )
        if rename is not None and len(parts[0].arrays) > 1:
            raise SourceError(f"the files name their sites themselves ({_described(parts[0])}); leave out {rename}=")
        self.parts = parts
        self.shuffled = shuffled
        self.first_P = np.cumsum([0, *(part.rows for part in parts)], dtype=np.int64)
        """First row of each part, and the number of rows at the end."""
        self.arrays: Mapping[str, RowArray] = {
            rename or site: Concatenated([part.arrays[site] for part in parts]) for site in parts[0].arrays
        }
        """By site."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.first_P[-1])

    @cached_property
    def has_tokens(self) -> bool:
        """Whether the token of every row is known, and a store can hold it; reads all of them once."""
        return all(map(_storable_tokens, self.parts))

    def tokens(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return the tokens of some rows; only if `has_tokens`."""
        found: list[NDArray[np.int64]] = []
        while start < stop:
            index = int(np.searchsorted(self.first_P, start, side="right")) - 1
            first, end = int(self.first_P[index]), min(int(self.first_P[index + 1]), stop)
            read = self.parts[index].tokens
            assert read is not None  # noqa: S101 - `has_tokens`
            found.append(read(start - first, end - first))
            start = end
        return np.concatenate(found).astype(np.int16)


def _storable_tokens(part: Part) -> bool:
    if part.tokens is None:
        return False
    for start in range(0, part.rows, _TOKENS_AT_ONCE):
        tokens = part.tokens(start, min(start + _TOKENS_AT_ONCE, part.rows))
        if tokens.min() < 0 or tokens.max() > _LARGEST_TOKEN:
            return False
    return True


def _described(part: Part) -> str:
    return ", ".join(f"{site} with {width:,} features" for site, width in part.widths.items())[:200]
