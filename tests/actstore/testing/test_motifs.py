import re

import numpy as np
import pytest

from actstore.errors import UsageError
from actstore.testing.motifs import MOTIFS, Feature, Motif, find_motifs, parse_pattern
from actstore.testing.residues import draw_residues, residue_text

# Fragments of natural proteins for which the patterns were made.
NATURAL = {
    "ASN_GLYCOSYLATION": "NGTV",
    "PKC_PHOSPHO_SITE": "SAR",
    "RGD": "RGD",
    "ATP_GTP_A": "GAGGVGKS",  # HRAS
    "EF_HAND_1": "DKDGDGTITTKEL",  # calmodulin, first EF-hand
    "ZINC_FINGER_C2H2_1": "CPVESCDRRFSRSDELTRHIRIH",  # ZIF268, first finger
    "LEUCINE_ZIPPER": "LEDKVEELLSKNYHLENEVARL",  # GCN4
    "PROTEIN_KINASE_TYR": "YVHRDLRAANILV",  # SRC
    "ASP_PROTEASE": "ALLDTGADDTVL",  # HIV-1 protease
}


@pytest.mark.parametrize("name", MOTIFS)
def test_patterns_find_natural_occurrences(name: str) -> None:
    fragment = NATURAL[name]
    assert Feature(name, 3, 3 + len(fragment)) in find_motifs(f"PPP{fragment}PPP", [MOTIFS[name]])


@pytest.mark.parametrize("motif", MOTIFS.values(), ids=MOTIFS)
def test_whatever_a_motif_allows_matches_its_pattern(motif: Motif) -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        sequence = residue_text(draw_residues(rng, motif.draw_allowed(rng).astype(np.float64)))
        assert re.fullmatch(motif.regex, sequence)
        assert len(sequence) <= motif.longest


def test_repeats_take_every_length_they_may() -> None:
    rng = np.random.default_rng(0)
    lengths = {len(MOTIFS["ZINC_FINGER_C2H2_1"].draw_allowed(rng)) for _ in range(200)}
    assert lengths == {21, 22, 23, 24, 25}


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        ("A-x-[DE]", ["AWD", "AAE"], ["AWK", "DWE", "AD"]),
        ("N-{P}-[ST]", ["NAS", "NNT"], ["NPS"]),
        ("C-x(2)-C", ["CAAC"], ["CAC", "CAAAC"]),
        ("C-x(2,4)-C", ["CAAC", "CAAAC", "CAAAAC"], ["CAC", "CAAAAAC"]),
        ("[LI](3)", ["LIL"], ["LI", "LIV"]),
    ],
)
def test_prosite_syntax(pattern: str, accepted: list[str], refused: list[str]) -> None:
    regex = Motif("test", "PS00000", pattern).regex
    assert [text for text in accepted + refused if re.fullmatch(regex, text)] == accepted


@pytest.mark.parametrize("pattern", ["", "A-", "A-y", "[AG", "x(2", "x(,4)", "<M-A"])
def test_a_malformed_pattern_is_refused_with_its_element(pattern: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"PROSITE pattern {pattern!r}: element")):
        parse_pattern(pattern)


def test_overlapping_occurrences_are_all_found() -> None:
    assert [feature.start for feature in find_motifs("NNTTNAT", [MOTIFS["ASN_GLYCOSYLATION"]])] == [0, 1]
