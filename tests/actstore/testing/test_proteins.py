import gzip
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from actstore.errors import UsageError
from actstore.testing.motifs import MOTIFS, find_motifs
from actstore.testing.proteins import (
    FamilyShape,
    SyntheticProtein,
    synthetic_proteins,
    write_fasta,
    write_synthetic_corpus,
)
from actstore.testing.residues import BACKGROUND_A, RESIDUES


@pytest.fixture(scope="module")
def proteins() -> list[SyntheticProtein]:
    return list(synthetic_proteins(families=60, members=10, seed=1))


def shared_triplets(one: str, other: str) -> float:
    """Jaccard index of the sets of three neighbouring residues."""
    triplets = [{sequence[i : i + 3] for i in range(len(sequence) - 2)} for sequence in (one, other)]
    return len(triplets[0] & triplets[1]) / len(triplets[0] | triplets[1])


def test_families_and_members_come_in_order_with_unique_ids(proteins: list[SyntheticProtein]) -> None:
    assert [protein.family for protein in proteins] == [family for family in range(60) for _ in range(10)]
    assert len({protein.id for protein in proteins}) == 600


def test_a_protein_depends_on_seed_family_and_member_alone(proteins: list[SyntheticProtein]) -> None:
    fewer = list(synthetic_proteins(families=3, members=4, seed=1))
    assert fewer == [protein for protein in proteins if protein.family < 3 and int(protein.id[-4:]) < 4]


def test_another_seed_gives_other_proteins(proteins: list[SyntheticProtein]) -> None:
    others = {protein.sequence for protein in synthetic_proteins(families=60, members=10, seed=2)}
    assert not others & {protein.sequence for protein in proteins}


def test_proteins_are_generated_as_they_are_asked_for() -> None:
    assert len(list(islice(synthetic_proteins(families=10**9), 5))) == 5


def test_planted_motifs_match_their_prosite_patterns_in_every_member(proteins: list[SyntheticProtein]) -> None:
    for protein in proteins:
        for feature in protein.features:
            assert re.fullmatch(MOTIFS[feature.motif].regex, protein.sequence[feature.start : feature.stop])


def test_members_of_a_family_share_their_motifs(proteins: list[SyntheticProtein]) -> None:
    motifs = {(protein.family, tuple(feature.motif for feature in protein.features)) for protein in proteins}
    assert len(motifs) == 60


def test_motifs_come_in_order_and_do_not_overlap(proteins: list[SyntheticProtein]) -> None:
    for protein in proteins:
        ends = [end for feature in protein.features for end in (feature.start, feature.stop)]
        assert ends == sorted(ends)
        assert ends[0] > 0


def test_every_motif_is_planted_somewhere(proteins: list[SyntheticProtein]) -> None:
    assert {feature.motif for protein in proteins for feature in protein.features} == set(MOTIFS)


def test_a_long_motif_occurs_only_where_it_was_planted(proteins: list[SyntheticProtein]) -> None:
    finger = MOTIFS["ZINC_FINGER_C2H2_1"]
    planted = sum(feature.motif == finger.name for protein in proteins for feature in protein.features)
    assert planted == sum(len(find_motifs(protein.sequence, [finger])) for protein in proteins)


def test_flexible_residues_of_a_motif_vary_within_a_family() -> None:
    sequences = {
        protein.sequence[feature.start : feature.stop]
        for protein in synthetic_proteins(families=40, members=10, seed=3)
        for feature in protein.features
        if feature.motif == "ATP_GTP_A"
    }
    assert len({sequence[1:5] for sequence in sequences}) > 10
    assert {sequence[5:7] for sequence in sequences} == {"GK"}


def test_relatives_are_more_alike_than_strangers(proteins: list[SyntheticProtein]) -> None:
    sample = [protein for protein in proteins if protein.family < 12]
    for protein in sample:
        others = [other for other in sample if other.id != protein.id]
        nearest = max(others, key=lambda other: shared_triplets(protein.sequence, other.sequence))
        assert nearest.family == protein.family


def test_without_indels_two_members_share_six_of_ten_residues() -> None:
    shape = FamilyShape(indels=0.0, motifs=0)
    first, second = (
        "".join(protein.sequence for protein in synthetic_proteins(families=50, members=2, shape=shape)
                if protein.id.endswith(f"M000{member}"))
        for member in (0, 1)
    )  # fmt: skip
    identity = np.mean([a == b for a, b in zip(first, second, strict=True)])
    assert identity == pytest.approx(0.63, abs=0.02)


def test_without_divergence_members_equal_their_ancestor() -> None:
    shape = FamilyShape(divergence=0.0, indels=0.0)
    assert len({protein.sequence for protein in synthetic_proteins(families=3, members=5, shape=shape)}) == 3


def test_lengths_are_like_natural_ones_and_within_their_bounds() -> None:
    lengths = [len(protein.sequence) for protein in synthetic_proteins(families=1500, members=1)]
    assert np.median(lengths) == pytest.approx(300, rel=0.05)
    assert np.mean(lengths) > np.median(lengths) * 1.1
    assert min(lengths) >= 60
    assert max(lengths) <= 1000


def test_narrow_bounds_hold_for_members_too() -> None:
    shape = FamilyShape(min_residues=30, median_residues=40, max_residues=50, indels=0.2)
    lengths = {len(protein.sequence) for protein in synthetic_proteins(families=50, members=10, shape=shape)}
    assert 30 <= min(lengths) < max(lengths) <= 50


@pytest.mark.parametrize("residues", [1, 5])
def test_motifs_that_do_not_fit_are_left_out(residues: int) -> None:
    shape = FamilyShape(min_residues=residues, median_residues=residues, max_residues=residues)
    proteins = list(synthetic_proteins(families=40, members=1, shape=shape))
    assert {len(protein.sequence) for protein in proteins} == {residues}
    assert all(feature.stop <= residues for protein in proteins for feature in protein.features)


def test_residues_are_as_common_as_in_swiss_prot() -> None:
    counts = Counter("".join(p.sequence[1:] for p in synthetic_proteins(families=400, members=1)))
    share_A = np.array([counts[residue] for residue in RESIDUES]) / counts.total()
    np.testing.assert_allclose(share_A, BACKGROUND_A, atol=0.006)


def test_every_protein_begins_with_methionine(proteins: list[SyntheticProtein]) -> None:
    assert {protein.sequence[0] for protein in proteins} == {"M"}


@pytest.mark.parametrize(
    "wrong",
    [{"min_residues": 400}, {"max_residues": 200}, {"min_residues": 0}, {"divergence": -0.1}, {"motifs": -1}],
)
def test_impossible_shapes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="family shape"):
        FamilyShape(**wrong)  # type: ignore[arg-type]


def test_a_written_corpus_holds_proteins_families_and_truth(proteins: list[SyntheticProtein], tmp_path: Path) -> None:
    files = write_synthetic_corpus(tmp_path / "new" / "corpus", proteins)

    fasta = gzip.decompress(files.fasta.read_bytes()).decode()
    records = [record.split("\n", 1) for record in fasta.split(">")[1:]]
    assert [(header.split()[0], body.replace("\n", "")) for header, body in records] == [
        (protein.id, protein.sequence) for protein in proteins
    ]
    clusters = [line.split("\t") for line in files.clusters.read_text().splitlines()]
    assert clusters == [[f"F{protein.family:05d}M0000", protein.id] for protein in proteins]

    header, *lines = (line.split("\t") for line in files.truth.read_text().splitlines())
    assert header == ["id", "motif", "accession", "start", "stop"]
    assert lines == [
        [protein.id, feature.motif, MOTIFS[feature.motif].accession, str(feature.start), str(feature.stop)]
        for protein in proteins
        for feature in protein.features
    ]


def test_the_same_proteins_give_the_same_bytes(proteins: list[SyntheticProtein], tmp_path: Path) -> None:
    one = write_synthetic_corpus(tmp_path / "one", proteins)
    other = write_synthetic_corpus(tmp_path / "other", proteins)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_fasta_is_plain_text_unless_its_name_says_gzip(proteins: list[SyntheticProtein], tmp_path: Path) -> None:
    write_fasta(tmp_path / "plain.fasta", proteins)
    write_fasta(tmp_path / "packed.fasta.gz", proteins)
    plain = (tmp_path / "plain.fasta").read_bytes()
    assert plain.startswith(b">F00000M0000 family=0\nM")
    assert gzip.decompress((tmp_path / "packed.fasta.gz").read_bytes()) == plain
