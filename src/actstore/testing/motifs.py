"""PROSITE patterns: parse them, find them, and draw the residues that they allow when a motif is planted.

Accessions, identifiers and patterns are those of PROSITE (Sigrist et al., 2013, "New and continuing developments
at PROSITE"); the syntax is that of its user manual, without the anchors ``<`` and ``>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.errors import UsageError
from actstore.testing.residues import RESIDUES

__all__ = ["MOTIFS", "Element", "Feature", "Motif", "find_motifs", "parse_pattern"]


@dataclass(frozen=True, slots=True)
class Feature:
    """An occurrence of a motif in a sequence, as 0-based half-open residues."""

    motif: str
    start: int
    stop: int


class Element(NamedTuple):
    """One element of a pattern: between `least` and `most` residues out of `allowed`."""

    allowed: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Motif:
    """A PROSITE pattern."""

    name: str
    """PROSITE identifier, such as ``ATP_GTP_A``."""
    accession: str
    pattern: str

    @property
    def elements(self) -> tuple[Element, ...]:
        """The pattern, element by element."""
        return parse_pattern(self.pattern)

    @property
    def regex(self) -> str:
        """The pattern as a regular expression over the twenty residues."""
        return "".join(f"[{allowed}]{{{least},{most}}}" for allowed, least, most in self.elements)

    @property
    def longest(self) -> int:
        """Residues of the longest occurrence."""
        return sum(element.most for element in self.elements)

    def draw_allowed(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Choose how often each element repeats, and return the residues then allowed at each place: bool [R, 20]."""
        rows: list[list[bool]] = []
        for allowed, least, most in self.elements:
            row = [residue in allowed for residue in RESIDUES]
            rows += [row] * int(rng.integers(least, most + 1))
        return np.array(rows)


MOTIFS: Final = {
    motif.name: motif
    for motif in (
        Motif("ASN_GLYCOSYLATION", "PS00001", "N-{P}-[ST]-{P}"),
        Motif("PKC_PHOSPHO_SITE", "PS00005", "[ST]-x-[RK]"),
        Motif("RGD", "PS00016", "R-G-D"),
        Motif("ATP_GTP_A", "PS00017", "[AG]-x(4)-G-K-[ST]"),
        Motif(
            "EF_HAND_1",
            "PS00018",
            "D-{W}-[DNS]-{ILVFYW}-[DENSTG]-[DNQGHRK]-{GP}-[LIVMC]-[DENQSTAGC]-x(2)-[DE]-[LIVMFYW]",
        ),
        Motif("ZINC_FINGER_C2H2_1", "PS00028", "C-x(2,4)-C-x(3)-[LIVMFYWC]-x(8)-H-x(3,5)-H"),
        Motif("LEUCINE_ZIPPER", "PS00029", "L-x(6)-L-x(6)-L-x(6)-L"),
        Motif("PROTEIN_KINASE_TYR", "PS00109", "[LIVMFYC]-{A}-[HY]-x-D-[LIVMFY]-[RSTAC]-{D}-{PF}-N-[LIVMFYC](3)"),
        Motif(
            "ASP_PROTEASE",
            "PS00141",
            "[LIVMFGAC]-[LIVMTADN]-[LIVFSA]-D-[ST]-G-[STAV]-[STAPDENQ]-{GQ}-[LIVMFSTNC]-{EGK}-[LIVMFGTA]",
        ),
    )
}
"""Motifs by name. Short ones also occur by chance: `PKC_PHOSPHO_SITE` about four times in a protein of 300 residues."""

_ELEMENT: Final = re.compile(
    r"(?:(?P<one>[A-Z])|(?P<any>x)|\[(?P<some>[A-Z]+)\]|\{(?P<none>[A-Z]+)\})"
    r"(?:\((?P<least>\d+)(?:,(?P<most>\d+))?\))?"
)


def parse_pattern(pattern: str) -> tuple[Element, ...]:
    """Parse a PROSITE pattern.

    Raises
    ------
    UsageError
        If an element is none of ``A``, ``x``, ``[AB]``, ``{AB}``, each perhaps followed by ``(n)`` or ``(n,m)``.

    Examples
    --------
    >>> parse_pattern("[ST]-x(2,4)-R")
    (Element(allowed='ST', least=1, most=1), Element(allowed='ARNDCQEGHILKMFPSTWYV', least=2, most=4), \
Element(allowed='R', least=1, most=1))
    """
    return tuple(_parse_element(text, pattern) for text in pattern.split("-"))


def _parse_element(text: str, pattern: str) -> Element:
    match = _ELEMENT.fullmatch(text)
    if match is None:
        raise UsageError(f"PROSITE pattern {pattern!r}: element {text!r} is none of A, x, [AB], {{AB}}, (n), (n,m)")
    if match["none"]:
        allowed = "".join(residue for residue in RESIDUES if residue not in match["none"])
    else:
        allowed = match["one"] or match["some"] or RESIDUES
    least = int(match["least"] or 1)
    return Element(allowed, least, int(match["most"] or least))


def find_motifs(sequence: str, motifs: Iterable[Motif] = tuple(MOTIFS.values())) -> tuple[Feature, ...]:
    """Return every occurrence of the motifs, planted or by chance, overlapping ones too, one for each start.

    Examples
    --------
    >>> find_motifs("MNNSTA", [MOTIFS["ASN_GLYCOSYLATION"]])
    (Feature(motif='ASN_GLYCOSYLATION', start=1, stop=5), Feature(motif='ASN_GLYCOSYLATION', start=2, stop=6))
    """
    return tuple(
        Feature(motif.name, *match.span(1))
        for motif in motifs
        for match in re.finditer(f"(?=({motif.regex}))", sequence)
    )
