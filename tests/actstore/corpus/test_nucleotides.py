import logging

import pytest

from actstore.corpus.nucleotides import NucleotideWatch

AMINO_ACIDS = frozenset("ACDEFGHIKLMNPQRSTVWYXBUZO")
GENE = "ATGGCTAGCAAAGGTGAAGAACTGTTTACCGGTGTTGTGCCGATTCTGGTGGAACTGGATGGT"
PROTEIN = "MASKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLV"


def warnings(caplog: pytest.LogCaptureFixture, *files: tuple[str, list[str]], alphabet: frozenset[str]) -> list[str]:
    watch = NucleotideWatch(alphabet)
    for source, residues in files:
        watch.count(source, residues)
    with caplog.at_level(logging.WARNING, logger="actstore.corpus"):
        watch.warn()
    return [record.getMessage() for record in caplog.records]


def test_a_file_of_genes_is_named(caplog: pytest.LogCaptureFixture) -> None:
    files = (("proteins.fasta", [PROTEIN]), ("genes.fasta", [GENE, GENE + "N"]), ("genes.fasta", [GENE]))
    (warning,) = warnings(caplog, *files, alphabet=AMINO_ACIDS)
    assert warning.startswith("warning: genes.fasta: 100 % of its first 190 letters are A, C, G, T, U or N")
    assert warning.endswith("translate them first")


def test_a_few_letters_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings(caplog, ("tiny.fasta", ["ACGT", "GATTACA"]), alphabet=AMINO_ACIDS) == []


def test_a_model_of_nucleotides_wants_them(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings(caplog, ("genes.fasta", [GENE]), alphabet=frozenset("ACGTUN")) == []
