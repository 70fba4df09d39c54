import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.sequences import RawRecord
from actstore.corpus.clean import Fault, clean_record

ALPHABET = frozenset("ACDEFGHIKLMNPQRSTVWYX")


def clean(sequence: str, record_id: str = "P1") -> str | Fault:
    return clean_record(RawRecord(record_id, sequence, "some.fasta", 1, 1), ALPHABET)


@pytest.mark.parametrize(
    ("raw", "residues"),
    [
        pytest.param("MKVX", "MKVX", id="clean already"),
        pytest.param("mkVx", "MKVX", id="lower case"),
        pytest.param(" MK\tV\r\nX ", "MKVX", id="white space"),
        pytest.param("MKVX*", "MKVX", id="stop"),
        pytest.param("MKVX**", "MKVX", id="several stops"),
        pytest.param("MKVX* \n", "MKVX", id="stop before white space"),
    ],
)
def test_residues_are_upper_case_without_space_and_stop(raw: str, residues: str) -> None:
    assert clean(raw) == residues


@pytest.mark.parametrize("raw", ["", "  \n", "*", "**"])
def test_nothing_left_is_empty(raw: str) -> None:
    assert clean(raw) == Fault("empty", "the sequence of 'P1' is empty")


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        pytest.param("MKJV", "'J' at residue 3;", id="letter"),
        pytest.param("MK V-A\nC-D", "'-' at residue 4;", id="position counts residues, first of several"),
        pytest.param("M*KV*", "'*' at residue 2;", id="stop inside"),
        pytest.param("mkj-v", "'J' at residue 3, '-' at residue 4;", id="several letters"),
        pytest.param("1234567", "'1' at residue 1, '2' at residue 2, '3' at residue 3, '4' at residue 4, "
                     "'5' at residue 5 and 2 other letters;", id="many letters"),
        pytest.param("MK\u00dfV", "'\u00df' at residue 3;", id="sharp s does not become two serines"),
        pytest.param("M\u0131V", "'\u0131' at residue 2;", id="dotless i does not become isoleucine"),
    ],
)  # fmt: skip
def test_foreign_letters_are_named_with_their_positions(raw: str, named: str) -> None:
    fault = clean(raw)
    assert isinstance(fault, Fault)
    assert fault.reason == "foreign letters"
    assert named in fault.detail
    assert "the alphabet is ACDEFGHIKLMNPQRSTVWXY" in fault.detail


def test_a_record_needs_an_id() -> None:
    assert clean("MKV", record_id="") == Fault("no id", "the record has no id")


@pytest.mark.parametrize("record_id", ["P\0", "P1\nMKV", "P\x1b[2J"])
def test_ids_can_be_printed(record_id: str) -> None:
    fault = clean("MKV", record_id=record_id)
    assert isinstance(fault, Fault)
    assert fault.reason == "unprintable id"


@given(st.text())
def test_what_passes_holds_only_letters_of_the_alphabet(raw: str) -> None:
    residues = clean(raw)
    assert isinstance(residues, Fault) or (residues and set(residues) <= ALPHABET)


@given(st.text("ACDEFGHIKLMNPQRSTVWYX", min_size=1))
def test_clean_sequences_stay_as_they_are(residues: str) -> None:
    assert clean(residues) == residues
