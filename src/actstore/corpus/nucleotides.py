"""A warning where the letters of proteins look like those of DNA or RNA, which all are letters of amino acids too."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from actstore.access.printable import printable

__all__ = ["NucleotideWatch"]

_log = logging.getLogger("actstore.corpus")
_NUCLEOTIDES: Final = b"ACGTUN"
_FEWEST_LETTERS: Final = 50
_MOST_LETTERS: Final = 1_000_000
"""Letters of each file that are looked at."""
_SUSPECT_SHARE: Final = 0.9
"""The six letters are 28 % of natural proteins, and 100 % of genes without ambiguous letters."""
_FEWEST_AMINO_ACIDS: Final = 10
"""A model whose alphabet has fewer other letters is one of nucleotides."""


class NucleotideWatch:
    """Counts the first letters of each file, and warns where nearly all are A, C, G, T, U or N.

    Parameters
    ----------
    alphabet
        Letters that the model knows; a model of nucleotides is never warned about.
    """

    def __init__(self, alphabet: frozenset[str]) -> None:
        self._expects_them = len(alphabet.difference(_NUCLEOTIDES.decode())) < _FEWEST_AMINO_ACIDS
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, source: str, residues: Iterable[str]) -> None:
        """Count the letters of some sequences of a file."""
        letters, suspect = self._counts.get(source, (0, 0))
        if self._expects_them or letters >= _MOST_LETTERS:
            return
        text = "".join(residues).encode("ascii")
        others = len(text.translate(None, _NUCLEOTIDES))
        self._counts[source] = (letters + len(text), suspect + len(text) - others)

    def warn(self) -> None:
        """Log one warning for each file of that kind."""
        for source, (letters, suspect) in self._counts.items():
            if letters >= _FEWEST_LETTERS and suspect >= _SUSPECT_SHARE * letters:
                _log.warning(
                    "warning: %s: %.0f %% of its first %s letters are A, C, G, T, U or N, as in DNA or RNA, and are "
                    "taken as amino acids here; if these are genes, translate them first",
                    printable(source),
                    100 * suspect / letters,
                    f"{letters:,}",
                )
