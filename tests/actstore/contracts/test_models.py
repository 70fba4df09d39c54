"""The tokenizer as a lookup table."""

import numpy as np

from actstore.contracts.models import ResidueTokenizer


def tokenizer() -> ResidueTokenizer:
    token_of = np.full(256, -1, dtype=np.int32)
    for token, letter in enumerate("ACDE", start=4):
        token_of[ord(letter)] = token
    return ResidueTokenizer(token_of, prefix=(0,), suffix=(2, 3), pad=1)


def test_each_residue_becomes_one_token() -> None:
    assert tokenizer().tokens("ADCAE").tolist() == [4, 6, 5, 4, 7]
    assert tokenizer().tokens("").tolist() == []


def test_a_letter_outside_the_alphabet_is_marked() -> None:
    assert tokenizer().tokens("AxA").tolist() == [4, -1, 4]
    assert tokenizer().alphabet == frozenset("ACDE")


def test_special_tokens_count_on_both_sides() -> None:
    assert tokenizer().special_tokens == 3
